import { crc32c, crc32cRange, formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { RecordRun } from './record-run.ts';
import {
  RECORD_BYTES_MIN,
  RECORD_LSN_BYTES,
  REDO_BATCH_BYTES_MAX,
  REDO_BATCH_HEADER_BYTES,
  REDO_BATCH_MAGIC,
  recordBytesInBatch,
} from './redo-batch-layout.ts';

/**
 * A batch whose bytes are not what they should be: damaged, cut short, or not a batch. Field names follow the layout
 * above.
 */
export class RedoBatchError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(`redo batch: ${field}: ${message}`);
    this.name = 'RedoBatchError';
    this.field = field;
  }
}

export interface RedoBatchHeader {
  /** Header and payload. */
  readonly totalBytes: number;
  readonly epoch: bigint;
  readonly startLsn: Lsn;
  readonly endLsn: Lsn;
  readonly backlink: Lsn;
  readonly previousEpoch: bigint;
  readonly pg: number;
  readonly recordCount: number;
  readonly payloadCrc: number;
}

/** One record as the WAL decoder gives it. */
export interface BatchRecord {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
  readonly raw: Buffer;
}

export interface RedoBatchParts extends RedoBatchPlace {
  /** At least one, ascending, each starting at or after the end of the one before. */
  readonly records: readonly BatchRecord[];
}

/** What a run of records is told about its place, to make a batch of it. */
export interface RedoBatchPlace {
  readonly pg: number;
  readonly epoch: bigint;
  readonly backlink: bigint;
  readonly previousEpoch: bigint;
}

/**
 * Completes a run to a batch: fills in its header. The bytes are the run's own and hold until it is changed. Throws
 * RangeError for an empty run or one that begins before its backlink: the caller's mistake.
 */
export function sealRedoBatch(run: RecordRun, place: RedoBatchPlace): Buffer {
  const { bytes, startLsn } = run;
  if (run.count === 0) throw new RangeError('a redo batch needs at least one record');
  if (startLsn < place.backlink)
    throw new RangeError(`the batch starts at ${formatLsn(startLsn)}, before its backlink ${formatLsn(place.backlink as Lsn)}`);
  bytes.writeUInt32LE(REDO_BATCH_MAGIC, 0);
  bytes.writeBigUInt64LE(place.epoch, 8);
  bytes.writeBigUInt64LE(startLsn, 16);
  bytes.writeBigUInt64LE(run.endLsn, 24);
  bytes.writeBigUInt64LE(place.backlink, 32);
  bytes.writeBigUInt64LE(place.previousEpoch, 40);
  bytes.writeUInt32LE(place.pg, 48);
  bytes.writeUInt32LE(run.count, 52);
  return completeRedoBatch(bytes, crc32cRange(bytes, REDO_BATCH_HEADER_BYTES, bytes.length));
}

/** Fills in what follows from the rest of a batch: its length, the CRC of its payload, which is given, and that of its header. */
export function completeRedoBatch(bytes: Buffer, payloadCrc: number): Buffer {
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.writeUInt32LE(payloadCrc, 56);
  bytes.writeUInt32LE(crc32cRange(bytes, 0, 60), 60);
  return bytes;
}

/** Lays records out as one batch. Throws RangeError on an empty or oversized list: the caller's mistake. */
export function encodeRedoBatch(parts: RedoBatchParts): Buffer {
  let bytes = REDO_BATCH_HEADER_BYTES;
  for (const record of parts.records) bytes += recordBytesInBatch(record.raw.length);
  if (bytes > REDO_BATCH_BYTES_MAX) throw new RangeError(`a redo batch of ${bytes} bytes is over the limit of ${REDO_BATCH_BYTES_MAX}`);
  const run = new RecordRun(bytes);
  for (const { lsn, endLsn, raw } of parts.records) run.add(Number(lsn), Number(endLsn), raw, 0, raw.length);
  return sealRedoBatch(run, parts);
}

/**
 * Reads and checks the header at `offset`; the payload may be absent (see `totalBytes`) and isn't checked.
 * Throws RedoBatchError that names the field.
 */
export function decodeRedoBatchHeader(bytes: Buffer, offset = 0): RedoBatchHeader {
  if (bytes.length - offset < REDO_BATCH_HEADER_BYTES) {
    throw new RedoBatchError('header', `${bytes.length - offset} bytes are left, ${REDO_BATCH_HEADER_BYTES} are needed`);
  }
  const magic = bytes.readUInt32LE(offset);
  if (magic !== REDO_BATCH_MAGIC) throw new RedoBatchError('magic', `0x${magic.toString(16)} is not a redo batch`);
  const headerCrc = bytes.readUInt32LE(offset + 60);
  if (crc32c(bytes.subarray(offset, offset + 60)) !== headerCrc) throw new RedoBatchError('headerCrc', 'does not match bytes 0..59');
  const header: RedoBatchHeader = {
    totalBytes: bytes.readUInt32LE(offset + 4),
    epoch: bytes.readBigUInt64LE(offset + 8),
    startLsn: bytes.readBigUInt64LE(offset + 16) as Lsn,
    endLsn: bytes.readBigUInt64LE(offset + 24) as Lsn,
    backlink: bytes.readBigUInt64LE(offset + 32) as Lsn,
    previousEpoch: bytes.readBigUInt64LE(offset + 40),
    pg: bytes.readUInt32LE(offset + 48),
    recordCount: bytes.readUInt32LE(offset + 52),
    payloadCrc: bytes.readUInt32LE(offset + 56),
  };
  if (header.totalBytes > REDO_BATCH_BYTES_MAX || header.totalBytes % 8 !== 0)
    throw new RedoBatchError('totalBytes', `${header.totalBytes} is no batch length`);
  if (header.recordCount === 0) throw new RedoBatchError('recordCount', 'is 0');
  if (header.totalBytes < REDO_BATCH_HEADER_BYTES + header.recordCount * (RECORD_LSN_BYTES + RECORD_BYTES_MIN)) {
    throw new RedoBatchError('totalBytes', `${header.totalBytes} is too short for ${header.recordCount} records`);
  }
  if (header.startLsn < header.backlink)
    throw new RedoBatchError('backlink', `${formatLsn(header.backlink)} is past the start ${formatLsn(header.startLsn)}`);
  if (header.endLsn <= header.startLsn)
    throw new RedoBatchError('endLsn', `${formatLsn(header.endLsn)} is not past the start ${formatLsn(header.startLsn)}`);
  if (header.previousEpoch > header.epoch)
    throw new RedoBatchError('previousEpoch', `${header.previousEpoch} is past the batch's own epoch ${header.epoch}`);
  return header;
}

/**
 * Checks a whole batch that starts at `offset`: header, payload CRC, and that its records fill it. Bytes after it are
 * ignored. Throws RedoBatchError. Records' own CRCs are left to whoever decodes them.
 */
export function checkRedoBatch(bytes: Buffer, offset = 0): RedoBatchHeader {
  const header = decodeRedoBatchHeader(bytes, offset);
  const end = offset + header.totalBytes;
  if (end > bytes.length) throw new RedoBatchError('totalBytes', `${header.totalBytes} bytes announced, ${bytes.length - offset} there`);
  if (crc32c(bytes.subarray(offset + REDO_BATCH_HEADER_BYTES, end)) !== header.payloadCrc) {
    throw new RedoBatchError('payloadCrc', `does not match the payload of the batch at ${formatLsn(header.startLsn)}`);
  }
  let at = offset + REDO_BATCH_HEADER_BYTES;
  let previous = -1n;
  for (let index = 0; index < header.recordCount; index++) {
    if (end - at < RECORD_LSN_BYTES + RECORD_BYTES_MIN)
      throw new RedoBatchError('recordCount', `the payload ends after ${index} of ${header.recordCount} records`);
    const lsn = bytes.readBigUInt64LE(at);
    const rawBytes = bytes.readUInt32LE(at + RECORD_LSN_BYTES);
    if (index === 0 && lsn !== header.startLsn)
      throw new RedoBatchError('startLsn', `first record is at ${formatLsn(lsn)}, header says ${formatLsn(header.startLsn)}`);
    if (lsn <= previous || lsn >= header.endLsn) throw new RedoBatchError('lsn', `record ${index} at ${formatLsn(lsn)} is out of order`);
    if (rawBytes < RECORD_BYTES_MIN || rawBytes > end - at - RECORD_LSN_BYTES)
      throw new RedoBatchError('tot_len', `record ${index} at ${formatLsn(lsn)} claims ${rawBytes} bytes`);
    previous = lsn;
    at += recordBytesInBatch(rawBytes);
  }
  if (at !== end) throw new RedoBatchError('totalBytes', `${end - at} bytes follow the last record`);
  return header;
}

/** A batch among others in a buffer. */
export interface BatchInBuffer {
  readonly header: RedoBatchHeader;
  /** A view of its bytes. */
  readonly batch: Buffer;
}

/**
 * The batches that stand back to back in `bytes`, each checked when it is come to. `ending`: whether the last one must
 * be whole, or the buffer may end within one, which is then left out. Throws RedoBatchError at the first that is not
 * sound.
 */
export function* batchesIn(bytes: Buffer, ending: 'whole' | 'cut-short' = 'whole'): Generator<BatchInBuffer, void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const left = bytes.length - at;
    if (ending === 'cut-short' && (left < REDO_BATCH_HEADER_BYTES || decodeRedoBatchHeader(bytes, at).totalBytes > left)) return;
    const header = checkRedoBatch(bytes, at);
    yield { header, batch: bytes.subarray(at, at + header.totalBytes) };
    at += header.totalBytes;
  }
}

/** The same of batches whose payloads were checked before they came to this process's hands: their headers are. Throws RedoBatchError. */
export function* checkedBatchesIn(bytes: Buffer): Generator<BatchInBuffer, void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const header = decodeRedoBatchHeader(bytes, at);
    yield { header, batch: bytes.subarray(at, at + header.totalBytes) };
    at += header.totalBytes;
  }
}

/** The records of a batch that was checked; `raw` are views into it. */
export function recordsOf(batch: Buffer, offset = 0): Generator<{ lsn: Lsn; raw: Buffer }, void, undefined> {
  return recordsIn(batch.subarray(offset + REDO_BATCH_HEADER_BYTES, offset + batch.readUInt32LE(offset + 4)));
}

/**
 * The records of a checked batch's payload, or of a part of it that begins and ends between two; `raw` are views into
 * it.
 */
export function* recordsIn(payload: Buffer): Generator<{ lsn: Lsn; raw: Buffer }, void, undefined> {
  for (let at = 0; at < payload.length;) {
    const rawBytes = payload.readUInt32LE(at + RECORD_LSN_BYTES);
    if (rawBytes < RECORD_BYTES_MIN) throw new RedoBatchError('tot_len', `${rawBytes} at byte ${at} of a payload: it was not checked`);
    yield {
      lsn: payload.readBigUInt64LE(at) as Lsn,
      raw: payload.subarray(at + RECORD_LSN_BYTES, at + RECORD_LSN_BYTES + rawBytes),
    };
    at += recordBytesInBatch(rawBytes);
  }
}
