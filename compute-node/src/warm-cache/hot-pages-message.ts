/**
 * The writer's local pages, as a message of its redo that readers' agents take out of the stream and PostgreSQL passes over
 * (pg_logical_emit_message): so that it comes to every reader by the way that redo comes, and by no other.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { OPCODE, RECORD_HEADER, RMGR, decodeRecord, type Lsn } from '@kube-aurora/pg-format';
import { decodeLocalChunks, encodeLocalChunks, type LocalChunk } from './local-pages.ts';

export const HOT_PAGES_PREFIX = 'kube-aurora.local-pages';
/** Of one list, unpacked: 16,384 chunks, which is 16 GiB where they are full. */
const CHUNKS_MAX = 16_384;
const CHUNKS_BYTES_MAX = CHUNKS_MAX * 40;

export const encodeHotPages = (chunks: readonly LocalChunk[]): Buffer => deflateRawSync(encodeLocalChunks(chunks.slice(0, CHUNKS_MAX)));

/**
 * The list that a record carries; undefined of every other record. Anybody may write such a message: one that is no list is
 * none, and a list of nonsense names pages that are not there, or that nobody needs.
 *
 * Main data, little-endian: u32 database · u8 transactional · 3 unused · u64 bytes of the prefix with its NUL · u64 bytes of the
 * message · prefix · message.
 */
export function hotPagesIn(raw: Buffer, lsn: Lsn): readonly LocalChunk[] | undefined {
  if (raw[RECORD_HEADER.rmid.at] !== RMGR.LOGICALMSG || ((raw[RECORD_HEADER.info.at] ?? 0) & 0xf0) !== OPCODE.LOGICALMSG.MESSAGE)
    return undefined;
  const { mainData } = decodeRecord(raw, lsn);
  const prefix = Buffer.from(`${HOT_PAGES_PREFIX}\0`);
  const messageAt = 24 + prefix.length;
  if (mainData.length < messageAt || !mainData.subarray(24, messageAt).equals(prefix)) return undefined;
  try {
    return decodeLocalChunks(inflateRawSync(mainData.subarray(messageAt), { maxOutputLength: CHUNKS_BYTES_MAX }));
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
