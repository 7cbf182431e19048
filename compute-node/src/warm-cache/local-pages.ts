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
 * | 16     | u32 × 4 | one bit for each of its blocks, the lowest first: it is local               |
 * | 32     | u32     | 1: read since the hand of eviction last came by                             |
 * | 36     | u32     | 0                                                                           |
 */
import type { Client } from 'pg';

export const CHUNK_BLOCKS = 128;
const CHUNK_BYTES = 40;
/** Read at once: of a cache of 4 GiB where chunks are full. */
const SLICE_BYTES = 4096 * CHUNK_BYTES;
/** The name under which the shim gives the list; no such file is there. */
const LOCAL_PAGES_FILE = 'kube_aurora_local_pages';

/** One bit for each block of a chunk, 32 to a word; bit 0 of the first is the first block's. Unsigned. */
export type Blocks = readonly [number, number, number, number];

export interface LocalChunk {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly number: number;
  readonly blocks: Blocks;
  readonly isRead: boolean;
}

export const chunkKey = ({ spcOid, dbOid, relNumber, number }: LocalChunk): string => `${spcOid}/${dbOid}/${relNumber}/${number}`;

export const blocksIn = (blocks: Blocks): number => blocks.reduce((sum, word) => sum + bitsIn(word), 0);

/** Bits of a word that are set (Hacker's Delight, figure 5-2): lists name a million blocks, and are looked at while others wait. */
function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
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
      blocks: [bytes.readUInt32LE(at + 16), bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24), bytes.readUInt32LE(at + 28)],
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
    chunk.blocks.forEach((word, place) => bytes.writeUInt32LE(word, at + 16 + place * 4));
    bytes.writeUInt32LE(chunk.isRead ? 1 : 0, at + 32);
  });
  return bytes;
}

/**
 * What is local to the PostgreSQL that `client` is connected to, of what is wanted. In slices: a list of a large cache has megabytes, and
 * those who wait for this process wait for no more than one of them. Each slice is of its own moment.
 */
export async function localChunks(client: Client, isWanted: (chunk: LocalChunk) => boolean = () => true): Promise<LocalChunk[]> {
  const all: LocalChunk[] = [];
  for (let from = 0; ; from += SLICE_BYTES) {
    const { rows } = await client.query<{ slice: Buffer }>(`select pg_read_binary_file('${LOCAL_PAGES_FILE}', $1, $2) as slice`, [
      from,
      SLICE_BYTES,
    ]);
    const slice = rows[0]?.slice ?? Buffer.alloc(0);
    for (const chunk of decodeLocalChunks(slice)) if (isWanted(chunk)) all.push(chunk);
    if (slice.length < SLICE_BYTES) return all;
  }
}
