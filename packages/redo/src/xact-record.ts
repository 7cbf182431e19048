import { INFO_XACT_HAS_INFO, OPCODE, type WalRecord } from '@kube-aurora/pg-format';

/**
 * Records that end a transaction (access/xact.h, xl_xact_commit and xl_xact_abort): i64 time, then, when info has
 * 0x80, u32 xinfo and the parts whose bits it sets, in this order:
 *
 *   0x001 database, tablespace (u32 each)      0x002 i32 count, subtransaction xids (u32)
 *   0x004 i32 count, relations to drop (3 u32) 0x100 i32 count, dropped statistics (16 bytes each)
 *   0x008 i32 count, invalidations (16 bytes)  0x010 u32 xid of the prepared transaction, [0x080 its gid, zero-ended]
 *   0x020 u64 origin LSN, i64 origin time
 */
const HAS_DBINFO = 0x001;
const HAS_SUBXACTS = 0x002;
const HAS_RELATIONS = 0x004;
const HAS_INVALIDATIONS = 0x008;
const HAS_TWOPHASE = 0x010;
const HAS_ORIGIN = 0x020;
const HAS_GID = 0x080;
const HAS_DROPPED_STATS = 0x100;

const RELATION_SIZE = 12;
const INVALIDATION_SIZE = 16;
const DROPPED_STAT_SIZE = 16;

/** Where the parts of such a record stand in its main data; counts are 0 and offsets unused when a part is missing. */
export interface TransactionEnd {
  readonly committed: boolean;
  /** COMMIT PREPARED or ROLLBACK PREPARED. */
  readonly prepared: boolean;
  /** The top-level transaction that ended. */
  readonly xid: number;
  readonly subxids: number;
  readonly subxidsAt: number;
  readonly relations: number;
  readonly relationsAt: number;
  /** -1 when the transaction was not replicated from elsewhere. */
  readonly originAt: number;
}

/** The opcode without its flag bit. */
export function transactionOpcode(record: WalRecord): number {
  return record.info & 0x70;
}

/** Takes a COMMIT, ABORT, COMMIT_PREPARED or ABORT_PREPARED apart; undefined for other records of XACT. */
export function transactionEnd(record: WalRecord): TransactionEnd | undefined {
  const { mainData } = record;
  const op = transactionOpcode(record);
  const prepared = op === OPCODE.XACT.COMMIT_PREPARED || op === OPCODE.XACT.ABORT_PREPARED;
  const committed = op === OPCODE.XACT.COMMIT || op === OPCODE.XACT.COMMIT_PREPARED;
  if (!prepared && !committed && op !== OPCODE.XACT.ABORT) return undefined;
  let at = 8;
  let xinfo = 0;
  let xid = record.xid;
  let subxids = 0;
  let subxidsAt = 0;
  let relations = 0;
  let relationsAt = 0;
  if ((record.info & INFO_XACT_HAS_INFO) !== 0) {
    xinfo = mainData.readUInt32LE(at);
    at += 4;
  }
  if ((xinfo & HAS_DBINFO) !== 0) at += 8;
  if ((xinfo & HAS_SUBXACTS) !== 0) {
    subxids = mainData.readInt32LE(at);
    subxidsAt = at + 4;
    at = subxidsAt + subxids * 4;
  }
  if ((xinfo & HAS_RELATIONS) !== 0) {
    relations = mainData.readInt32LE(at);
    relationsAt = at + 4;
    at = relationsAt + relations * RELATION_SIZE;
  }
  if ((xinfo & HAS_DROPPED_STATS) !== 0) at += 4 + mainData.readInt32LE(at) * DROPPED_STAT_SIZE;
  if ((xinfo & HAS_INVALIDATIONS) !== 0) at += 4 + mainData.readInt32LE(at) * INVALIDATION_SIZE;
  if ((xinfo & HAS_TWOPHASE) !== 0) {
    xid = mainData.readUInt32LE(at);
    at += 4;
    if ((xinfo & HAS_GID) !== 0) at = mainData.indexOf(0, at) + 1;
  }
  const originAt = (xinfo & HAS_ORIGIN) !== 0 ? at : -1;
  return { committed, prepared, xid, subxids, subxidsAt, relations, relationsAt, originAt };
}

/** The i-th subtransaction's xid. */
export function subxidAt(record: WalRecord, end: TransactionEnd, index: number): number {
  return record.mainData.readUInt32LE(end.subxidsAt + index * 4);
}

/**
 * PREPARE (access/xact.h, xl_xact_prepare, 72 bytes): 0 magic u32, 4 total_len u32, 8 xid u32, 12 database u32,
 * 16 prepared_at i64, 24 owner u32, 28 nsubxacts i32, …, 54 gidlen u16 with its zero byte; then gid and subtransaction
 * xids, each padded to 8 bytes.
 */
const PREPARE_SIZE = 72;

export interface PreparedTransaction {
  readonly xid: number;
  readonly gid: string;
  readonly subxids: readonly number[];
}

/** Reads the main data of a PREPARE record, which is also what pg_twophase files hold before their CRC. */
export function preparedTransaction(data: Buffer): PreparedTransaction {
  const gidLength = data.readUInt16LE(54);
  const subxidsAt = PREPARE_SIZE + ((gidLength + 7) & ~7);
  const subxids: number[] = [];
  for (let i = 0; i < data.readInt32LE(28); i++) subxids.push(data.readUInt32LE(subxidsAt + i * 4));
  return { xid: data.readUInt32LE(8), gid: data.toString('utf8', PREPARE_SIZE, PREPARE_SIZE + gidLength - 1), subxids };
}
