/**
 * A redo batch: consecutive WAL records of one protection group, sent, stored and fetched as one run of bytes. The same
 * bytes are in AppendRequest.batch, in a segment's redo log and in RedoChunk.batches.
 *
 *   header, 64 bytes, little-endian
 *    0 u32 magic 'RDB1'        24 u64 end LSN of last record    48 u32 protection group
 *    4 u32 bytes, all told     32 u64 backlink                  52 u32 records
 *    8 u64 epoch               40 u64 epoch of the batch that   56 u32 CRC32C of the payload
 *   16 u64 LSN of first record        ends at the backlink      60 u32 CRC32C of bytes 0..59
 *   payload, per record: u64 LSN, the raw record (tot_len bytes, no page headers), zeros up to a multiple of 8
 *
 * Invariant: backlink is the end of the batch before it in the same protection group, so a missing batch shows; with
 * previousEpoch it also shows when the batch before it is another writer's (Raft's prevLogIndex and prevLogTerm).
 */
export const REDO_BATCH_MAGIC = 0x31424452;
export const REDO_BATCH_HEADER_BYTES = 64;
/** The longest batch that is taken: one WAL record is at most 1020 MiB (XLogRecordMaxSize, access/xlogrecord.h). */
export const REDO_BATCH_BYTES_MAX = 1056 * 1024 * 1024;

export const RECORD_LSN_BYTES = 8;
/** tot_len of the smallest record: an XLogRecord header alone (access/xlogrecord.h). */
export const RECORD_BYTES_MIN = 24;

/** Bytes that a record of `rawBytes` takes in a batch's payload. */
export function recordBytesInBatch(rawBytes: number): number {
  return (RECORD_LSN_BYTES + rawBytes + 7) & ~7;
}
