import {
  controlFileLayout,
  buildRecord,
  decodePgControl,
  recordCrc,
  recordEndLsn,
  crc32c,
  type Lsn,
  type RelFork,
} from '@kube-aurora/pg-format';
import { addDatabase, emptyVolumeState, encodeVolumeState, type VolumeState } from '@kube-aurora/redo';
import { encodeRedoBatch, type BatchRecord } from '@kube-aurora/volume';

/** Records, batches and a volume's first state for tests: real layouts, made-up content. */

const PAGE_BYTES = 8192;

/** An XLOG_NOOP with `payload` bytes, which changes nothing. */
export function syntheticRecord(payload: number, xid = 0, mainData = Buffer.alloc(payload, payload & 0xff)): Buffer {
  return buildRecord({ rmid: 0, info: 0x20, xid, prev: 0n as Lsn, mainData });
}

/** A page that is not new (pd_upper is set), filled with one byte. */
export function filledPage(fill: number): Buffer {
  const page = Buffer.alloc(PAGE_BYTES, fill);
  page.fill(0, 0, 24);
  page.writeUInt16LE(24, 12);
  page.writeUInt16LE(PAGE_BYTES, 14);
  page.writeUInt16LE(PAGE_BYTES, 16);
  page.writeUInt16LE(PAGE_BYTES | 4, 18);
  return page;
}

/** XLOG_FPI with the image of one block (access/xlogrecord.h). */
export function imageRecord(fork: RelFork, block: number, fill: number): Buffer {
  const head = Buffer.alloc(24 + 4 + 5 + 12 + 4);
  head[16] = 0xb0;
  head[17] = 0;
  head[24] = 0;
  head[25] = fork.fork | 0x10;
  head.writeUInt16LE(PAGE_BYTES, 28);
  head.writeUInt16LE(0, 30);
  head[32] = 2;
  head.writeUInt32LE(fork.spcOid, 33);
  head.writeUInt32LE(fork.dbOid, 37);
  head.writeUInt32LE(fork.relNumber, 41);
  head.writeUInt32LE(block, 45);
  return sealed(Buffer.concat([head, filledPage(fill)]));
}

/**
 * A record of the generic resource manager that sets `bytes` at `offset` of one block (access/transam/generic_xlog.c).
 */
export function deltaRecord(fork: RelFork, block: number, offset: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(24 + 4 + 12 + 4 + 4);
  head[16] = 0;
  head[17] = 20;
  head[24] = 0;
  head[25] = fork.fork | 0x20;
  head.writeUInt16LE(4 + bytes.length, 26);
  head.writeUInt32LE(fork.spcOid, 28);
  head.writeUInt32LE(fork.dbOid, 32);
  head.writeUInt32LE(fork.relNumber, 36);
  head.writeUInt32LE(block, 40);
  head.writeUInt16LE(offset, 44);
  head.writeUInt16LE(bytes.length, 46);
  return sealed(Buffer.concat([head, bytes]));
}

/** XLOG_SMGR_TRUNCATE of the main fork (catalog/storage_xlog.h). */
export function truncateRecord(fork: RelFork, blocks: number): Buffer {
  const mainData = Buffer.alloc(20);
  mainData.writeUInt32LE(blocks, 0);
  mainData.writeUInt32LE(fork.spcOid, 4);
  mainData.writeUInt32LE(fork.dbOid, 8);
  mainData.writeUInt32LE(fork.relNumber, 12);
  mainData.writeUInt32LE(1, 16);
  return buildRecord({ rmid: 2, info: 0x20, xid: 0, prev: 0n as Lsn, mainData });
}

/** XLOG_DBASE_CREATE_FILE_COPY (commands/dbcommands_xlog.h). */
export function copyDatabaseRecord(from: { spcOid: number; dbOid: number }, to: { spcOid: number; dbOid: number }): Buffer {
  const mainData = Buffer.alloc(16);
  mainData.writeUInt32LE(to.dbOid, 0);
  mainData.writeUInt32LE(to.spcOid, 4);
  mainData.writeUInt32LE(from.dbOid, 8);
  mainData.writeUInt32LE(from.spcOid, 12);
  return buildRecord({ rmid: 4, info: 0x00, xid: 0, prev: 0n as Lsn, mainData });
}

/** XLOG_DBASE_DROP of one directory. */
export function dropDatabaseRecord(directory: { spcOid: number; dbOid: number }): Buffer {
  const mainData = Buffer.alloc(12);
  mainData.writeUInt32LE(directory.dbOid, 0);
  mainData.writeInt32LE(1, 4);
  mainData.writeUInt32LE(directory.spcOid, 8);
  return buildRecord({ rmid: 4, info: 0x20, xid: 0, prev: 0n as Lsn, mainData });
}

function sealed(raw: Buffer): Buffer {
  raw.writeUInt32LE(raw.length, 0);
  raw.writeUInt32LE(recordCrc(raw), 20);
  return raw;
}

/** Lays raw records out from `lsn` on, as WAL would without page headers in the way of a test's arithmetic. */
export function placeRecords(lsn: bigint, raws: readonly Buffer[]): BatchRecord[] {
  let at = lsn as Lsn;
  return raws.map((raw) => {
    const record = { lsn: at, endLsn: recordEndLsn(at, raw.length, false), raw };
    at = record.endLsn;
    // Records never start on a page header.
    if (at % 8192n === 0n) at = (at + 40n) as Lsn;
    return record;
  });
}

export interface ChainEnd {
  readonly lsn: bigint;
  readonly epoch: bigint;
}

/** One batch that follows `link`. */
export function batchAfter(
  link: ChainEnd,
  epoch: bigint,
  raws: readonly Buffer[],
): { batch: Buffer; records: BatchRecord[]; end: ChainEnd } {
  const start = link.lsn % 8192n === 0n ? link.lsn + 40n : link.lsn;
  const records = placeRecords(start, raws);
  const batch = encodeRedoBatch({ pg: 0, epoch, backlink: link.lsn, previousEpoch: link.epoch, records });
  return { batch, records, end: { lsn: records.at(-1)?.endLsn ?? link.lsn, epoch } };
}

/** State of a cluster with the relations given, whose shutdown checkpoint stands at `checkPoint`. */
export function syntheticState(
  checkPoint: bigint,
  relations: readonly { fork: RelFork; blocks: number }[] = [],
): { state: VolumeState; encoded: Buffer; baseLsn: bigint } {
  const file = Buffer.alloc(PAGE_BYTES);
  file.writeBigUInt64LE(7_000_000_000_000_000_001n, 0);
  file.writeUInt32LE(controlFileLayout(18).controlVersion, 8);
  file.writeUInt32LE(202_506_291, 12);
  file.writeInt32LE(1, 16);
  file.writeBigUInt64LE(checkPoint, 32);
  file.writeBigUInt64LE(checkPoint, 40);
  file.writeUInt32LE(1, 40 + 8);
  file.writeBigUInt64LE(1000n, 40 + 24);
  file.writeUInt32LE(crc32c(file.subarray(0, 292)), 292);
  const state = emptyVolumeState(decodePgControl(file));
  addDatabase(state, { spcOid: 1663, dbOid: 5 });
  for (const { fork, blocks } of relations) state.relations.setBlocks(fork, blocks);
  return { state, encoded: encodeVolumeState(state), baseLsn: state.endLsn };
}
