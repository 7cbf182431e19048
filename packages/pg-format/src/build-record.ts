import { crc32cRange } from './crc32c.ts';
import type { Lsn } from './lsn.ts';
import { BLOCK_ID, RECORD_HEADER, RECORD_HEADER_BYTES, RECORD_MAX_BYTES } from './wal-layout.ts';

const CRC_AT = RECORD_HEADER.crc.at;

/**
 * The CRC a record must carry: over its payload first, then over its header up to the crc field. The record is [start,
 * end) of `raw`.
 */
export function recordCrc(raw: Buffer, start = 0, end = raw.length): number {
  return crc32cRange(raw, start, start + CRC_AT, crc32cRange(raw, start + RECORD_HEADER_BYTES, end));
}

export function recordCrcIsValid(raw: Buffer, start = 0, end = raw.length): boolean {
  return recordCrc(raw, start, end) === raw.readUInt32LE(start + CRC_AT);
}

export interface RecordFields {
  readonly rmid: number;
  readonly info: number;
  /** 0 when the record belongs to no transaction. */
  readonly xid: number;
  /** Start of the record before it. */
  readonly prev: Lsn;
  readonly mainData: Buffer;
  /** Pads the main data with zeros so that the record has exactly this many bytes (a filler, XLOG_NOOP). */
  readonly totalBytes?: number;
}

/** Builds a record that has main data only, with its CRC. Throws RangeError when it cannot have the asked length. */
export function buildRecord(fields: RecordFields): Buffer {
  const dataLength = mainDataLength(fields);
  const header = dataHeaderBytes(dataLength);
  const raw = Buffer.alloc(RECORD_HEADER_BYTES + header + dataLength);
  if (raw.length > RECORD_MAX_BYTES) throw new RangeError(`record of ${raw.length} bytes; at most ${RECORD_MAX_BYTES}`);
  raw.writeUInt32LE(raw.length, RECORD_HEADER.totalLength.at);
  raw.writeUInt32LE(fields.xid, RECORD_HEADER.xid.at);
  raw.writeBigUInt64LE(fields.prev, RECORD_HEADER.prev.at);
  raw.writeUInt8(fields.info, RECORD_HEADER.info.at);
  raw.writeUInt8(fields.rmid, RECORD_HEADER.rmid.at);
  if (header === 2) {
    raw.writeUInt8(BLOCK_ID.DATA_SHORT, RECORD_HEADER_BYTES);
    raw.writeUInt8(dataLength, RECORD_HEADER_BYTES + 1);
  } else if (header === 5) {
    raw.writeUInt8(BLOCK_ID.DATA_LONG, RECORD_HEADER_BYTES);
    raw.writeUInt32LE(dataLength, RECORD_HEADER_BYTES + 1);
  }
  fields.mainData.copy(raw, RECORD_HEADER_BYTES + header);
  raw.writeUInt32LE(recordCrc(raw), CRC_AT);
  return raw;
}

function mainDataLength(fields: RecordFields): number {
  const { totalBytes, mainData } = fields;
  if (totalBytes === undefined) return mainData.length;
  const room = totalBytes - RECORD_HEADER_BYTES;
  const length = room === 0 ? 0 : room - 2 <= 255 ? room - 2 : room - 5;
  // Lengths of 282 to 284 bytes exist neither with a short nor with a long data header.
  if (length < mainData.length || RECORD_HEADER_BYTES + dataHeaderBytes(length) + length !== totalBytes) {
    throw new RangeError(`no record of ${totalBytes} bytes can hold ${mainData.length} bytes of main data`);
  }
  return length;
}

function dataHeaderBytes(dataLength: number): number {
  return dataLength === 0 ? 0 : dataLength <= 255 ? 2 : 5;
}
