/**
 * Which pages of relations are local to a PostgreSQL, by chunks of 128 neighbouring blocks of a main fork. The shim lists them
 * (compute-node/native/local-pages.c); the writer gives its readers the list in a message of its redo.
 *
 * One chunk, little-endian:
 *
 * | offset | type    | field                                                                       |
 * | ------ | ------- | --------------------------------------------------------------------------- |
 * | 0      | u32     | tablespace                                                                  |
 * | 4      | u32     | database                                                                    |
 * | 8      | u32     | relation's number                                                           |
 * | 12     | u32     | the chunk's number in its fork: it begins at 128 times this block           |
 * | 16     | u64 × 2 | one bit for each of its blocks: it is local                                 |
 * | 32     | u32     | 1: read since the hand of eviction last came by                             |
 * | 36     | u32     | 0                                                                           |
 */
import type { Client } from 'pg';

export const CHUNK_BLOCKS = 128;
const CHUNK_BYTES = 40;
/** The name under which the shim gives the list; no such file is there. */
const LOCAL_PAGES_FILE = 'kube_aurora_local_pages';

export interface LocalChunk {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly number: number;
  /** Bit 0 is the first block's. */
  readonly blocks: bigint;
  readonly isRead: boolean;
}

export const chunkKey = ({ spcOid, dbOid, relNumber, number }: LocalChunk): string => `${spcOid}/${dbOid}/${relNumber}/${number}`;

export function blocksIn(blocks: bigint): number {
  let count = 0;
  for (let left = blocks; left !== 0n; left &= left - 1n) count++;
  return count;
}

/** Throws RangeError where it is no list. */
export function decodeLocalChunks(bytes: Buffer): LocalChunk[] {
  if (bytes.length % CHUNK_BYTES !== 0)
    throw new RangeError(`a list of local pages has ${bytes.length} bytes, no multiple of ${CHUNK_BYTES}`);
  const chunks: LocalChunk[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    chunks.push({
      spcOid: bytes.readUInt32LE(at),
      dbOid: bytes.readUInt32LE(at + 4),
      relNumber: bytes.readUInt32LE(at + 8),
      number: bytes.readUInt32LE(at + 12),
      blocks: bytes.readBigUInt64LE(at + 16) | (bytes.readBigUInt64LE(at + 24) << 64n),
      isRead: bytes.readUInt32LE(at + 32) !== 0,
    });
  }
  return chunks;
}

export function encodeLocalChunks(chunks: readonly LocalChunk[]): Buffer {
  const bytes = Buffer.alloc(chunks.length * CHUNK_BYTES);
  chunks.forEach((chunk, index) => {
    const at = index * CHUNK_BYTES;
    bytes.writeUInt32LE(chunk.spcOid, at);
    bytes.writeUInt32LE(chunk.dbOid, at + 4);
    bytes.writeUInt32LE(chunk.relNumber, at + 8);
    bytes.writeUInt32LE(chunk.number, at + 12);
    bytes.writeBigUInt64LE(chunk.blocks & 0xffff_ffff_ffff_ffffn, at + 16);
    bytes.writeBigUInt64LE(chunk.blocks >> 64n, at + 24);
    bytes.writeUInt32LE(chunk.isRead ? 1 : 0, at + 32);
  });
  return bytes;
}

/** What is local to the PostgreSQL that `client` is connected to. */
export async function localChunks(client: Client): Promise<LocalChunk[]> {
  const { rows } = await client.query<{ list: Buffer }>(`select pg_read_binary_file('${LOCAL_PAGES_FILE}') as list`);
  return decodeLocalChunks(rows[0]?.list ?? Buffer.alloc(0));
}
