import { buildRecord } from './build-record.ts';
import type { Lsn } from './lsn.ts';
import { OPCODE, RMGR } from './rmgr.ts';
import { decodeStruct, encodeStruct, type Layout, type StructOf } from './struct.ts';

/** CheckPoint (catalog/pg_control.h): main data of checkpoint records and part of pg_control. */
export const CHECKPOINT = {
  /** Where replay would start. A shutdown checkpoint points at itself. */
  redo: { type: 'lsn', at: 0 },
  timeline: { type: 'u32', at: 8 },
  /** Timeline before this one, where the record begins a new one; else the same. */
  prevTimeline: { type: 'u32', at: 12 },
  fullPageWrites: { type: 'bool', at: 16 },
  /** 0 minimal, 1 replica, 2 logical. */
  walLevel: { type: 'i32', at: 20 },
  /** FullTransactionId: epoch in the high half. */
  nextXid: { type: 'u64', at: 24 },
  nextOid: { type: 'u32', at: 32 },
  nextMulti: { type: 'u32', at: 36 },
  nextMultiOffset: { type: 'u32', at: 40 },
  oldestXid: { type: 'u32', at: 44 },
  oldestXidDb: { type: 'u32', at: 48 },
  oldestMulti: { type: 'u32', at: 52 },
  oldestMultiDb: { type: 'u32', at: 56 },
  /** Seconds since 1970. */
  time: { type: 'i64', at: 64 },
  oldestCommitTsXid: { type: 'u32', at: 72 },
  newestCommitTsXid: { type: 'u32', at: 76 },
  /** Oldest running transaction; 0 in a shutdown checkpoint. */
  oldestActiveXid: { type: 'u32', at: 80 },
} as const satisfies Layout;

export type CheckPoint = StructOf<typeof CHECKPOINT>;

export const CHECKPOINT_BYTES = 88;

export function encodeCheckpoint(checkpoint: CheckPoint): Buffer {
  const bytes = Buffer.alloc(CHECKPOINT_BYTES);
  encodeStruct(CHECKPOINT, checkpoint, bytes);
  return bytes;
}

/** Reads the 88 bytes at `offset`. Throws RangeError when there are fewer. */
export function decodeCheckpoint(bytes: Buffer, offset = 0): CheckPoint {
  if (bytes.length - offset < CHECKPOINT_BYTES) {
    throw new RangeError(`CheckPoint needs ${CHECKPOINT_BYTES} bytes at ${offset}, buffer has ${bytes.length}`);
  }
  return decodeStruct(CHECKPOINT, bytes, offset);
}

/** A checkpoint record: 114 bytes, which PostgreSQL insists on at start. */
export function buildCheckpointRecord(fields: { checkpoint: CheckPoint; shutdown: boolean; prev: Lsn }): Buffer {
  return buildRecord({
    rmid: RMGR.XLOG,
    info: fields.shutdown ? OPCODE.XLOG.CHECKPOINT_SHUTDOWN : OPCODE.XLOG.CHECKPOINT_ONLINE,
    xid: 0,
    prev: fields.prev,
    mainData: encodeCheckpoint(fields.checkpoint),
  });
}
