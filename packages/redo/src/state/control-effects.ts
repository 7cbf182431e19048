import { type CheckPoint, decodeCheckpoint, OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { unknownOpcode } from '../rmgr/resource-manager.ts';
import { commitTsPage } from '../slru/layout.ts';
import { xidPrecedes } from './transaction-table.ts';
import { type Effect, preparedXids, type VolumeState } from './volume-state.ts';

/** XLOG records: checkpoints, the OID counter, parameters, timelines (access/transam/xlog.c, xlog_redo). */
export function applyControl(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const { mainData } = record;
  const counters = state.control.checkPointCopy;
  switch (RMGRS.opcodeOf(record.rmid, record.info)) {
    case OPCODE.XLOG.CHECKPOINT_SHUTDOWN:
      applyShutdownCheckpoint(state, decodeCheckpoint(mainData));
      return undefined;
    case OPCODE.XLOG.CHECKPOINT_ONLINE:
      applyOnlineCheckpoint(state, decodeCheckpoint(mainData));
      return undefined;
    case OPCODE.XLOG.NEXTOID:
      counters.nextOid = mainData.readUInt32LE(0);
      return undefined;
    case OPCODE.XLOG.PARAMETER_CHANGE:
      return applyParameters(state, mainData);
    case OPCODE.XLOG.FPW_CHANGE:
      counters.fullPageWrites = mainData.readUInt8(0) !== 0;
      return undefined;
    case OPCODE.XLOG.END_OF_RECOVERY:
      // xl_end_of_recovery: 0 time i64, 8 timeline u32, 12 previous timeline u32, 16 wal_level i32.
      counters.timeline = mainData.readUInt32LE(8);
      counters.prevTimeline = mainData.readUInt32LE(12);
      counters.walLevel = mainData.readInt32LE(16);
      return undefined;
    case OPCODE.XLOG.CHECKPOINT_REDO:
    case OPCODE.XLOG.NOOP:
    case OPCODE.XLOG.SWITCH:
    case OPCODE.XLOG.BACKUP_END:
    case OPCODE.XLOG.RESTORE_POINT:
    case OPCODE.XLOG.OVERWRITE_CONTRECORD:
    case OPCODE.XLOG.FPI_FOR_HINT:
    case OPCODE.XLOG.FPI:
      return undefined;
    default:
      throw unknownOpcode(record, undefined);
  }
}

/** Nothing but prepared transactions runs across a shutdown, and every counter is exact. */
function applyShutdownCheckpoint(state: VolumeState, checkpoint: CheckPoint): void {
  Object.assign(state.control.checkPointCopy, checkpoint);
  const prepared = preparedXids(state);
  state.transactions.reset(checkpoint.nextXid, prepared);
  for (const xid of state.locks.keys()) if (!prepared.has(xid)) state.locks.delete(xid);
}

/** The record's counters were read when the checkpoint began: they are minimums, and its nextOid is stale. */
function applyOnlineCheckpoint(state: VolumeState, checkpoint: CheckPoint): void {
  const counters = state.control.checkPointCopy;
  counters.redo = checkpoint.redo;
  counters.time = checkpoint.time;
  counters.timeline = checkpoint.timeline;
  counters.prevTimeline = checkpoint.prevTimeline;
  counters.walLevel = checkpoint.walLevel;
  counters.fullPageWrites = checkpoint.fullPageWrites;
  state.transactions.raiseNext(checkpoint.nextXid);
  raiseMulti(counters, checkpoint.nextMulti, checkpoint.nextMultiOffset);
  if (xidPrecedes(counters.oldestMulti, checkpoint.oldestMulti)) {
    counters.oldestMulti = checkpoint.oldestMulti;
    counters.oldestMultiDb = checkpoint.oldestMultiDb;
  }
  if (xidPrecedes(counters.oldestXid, checkpoint.oldestXid)) {
    counters.oldestXid = checkpoint.oldestXid;
    counters.oldestXidDb = checkpoint.oldestXidDb;
  }
  if (checkpoint.oldestCommitTsXid !== 0) counters.oldestCommitTsXid = checkpoint.oldestCommitTsXid;
}

/** MultiXactAdvanceNextMXact: both counters only go forward, in wrap-around order. */
export function raiseMulti(counters: CheckPoint, nextMulti: number, nextOffset: number): void {
  if (xidPrecedes(counters.nextMulti, nextMulti)) counters.nextMulti = nextMulti;
  if (xidPrecedes(counters.nextMultiOffset, nextOffset)) counters.nextMultiOffset = nextOffset;
}

const TRACK_COMMIT_TIMESTAMP_AT = 25;

/** What a hot standby must have no less of than its primary. */
export interface PrimaryLimits {
  readonly maxConnections: number;
  readonly maxWorkerProcesses: number;
  readonly maxWalSenders: number;
  readonly maxPreparedXacts: number;
  readonly maxLocksPerXact: number;
}

/** Of a record that sets parameters; undefined for any other. */
export function primaryLimitsOf({ rmid, info, mainData }: WalRecord): PrimaryLimits | undefined {
  if (rmid !== RMGR.XLOG || RMGRS.opcodeOf(rmid, info) !== OPCODE.XLOG.PARAMETER_CHANGE) return undefined;
  return limitsIn(mainData);
}

/**
 * xl_parameter_change: MaxConnections, max_worker_processes, max_wal_senders, max_prepared_xacts, max_locks_per_xact,
 * wal_level (i32 each), wal_log_hints, track_commit_timestamp (bool).
 */
function limitsIn(data: Buffer): PrimaryLimits {
  return {
    maxConnections: data.readInt32LE(0),
    maxWorkerProcesses: data.readInt32LE(4),
    maxWalSenders: data.readInt32LE(8),
    maxPreparedXacts: data.readInt32LE(12),
    maxLocksPerXact: data.readInt32LE(16),
  };
}

function applyParameters(state: VolumeState, data: Buffer): Effect[] | undefined {
  const { control } = state;
  Object.assign(control, limitsIn(data));
  control.walLevel = data.readInt32LE(20);
  control.checkPointCopy.walLevel = control.walLevel;
  control.walLogHints = data.readUInt8(24) !== 0;
  const tracked = control.trackCommitTimestamp;
  control.trackCommitTimestamp = data.readUInt8(TRACK_COMMIT_TIMESTAMP_AT) !== 0;
  if (control.trackCommitTimestamp === tracked) return undefined;
  return control.trackCommitTimestamp ? startCommitTimestamps(state) : stopCommitTimestamps(state);
}

/** ActivateCommitTs: timestamps are known from the next transaction on; its page is made without WAL. */
function startCommitTimestamps(state: VolumeState): undefined {
  const counters = state.control.checkPointCopy;
  if (counters.oldestCommitTsXid === 0) {
    counters.oldestCommitTsXid = state.transactions.nextXid;
    counters.newestCommitTsXid = state.transactions.nextXid;
  }
  state.slrus.pg_commit_ts.extend(commitTsPage(state.transactions.nextXid));
}

/** DeactivateCommitTs: all files go. */
function stopCommitTimestamps(state: VolumeState): Effect[] | undefined {
  const counters = state.control.checkPointCopy;
  counters.oldestCommitTsXid = 0;
  counters.newestCommitTsXid = 0;
  const pages = state.slrus.pg_commit_ts;
  if (pages.length === 0) return undefined;
  const effect: Effect = { kind: 'slru-truncate', slru: 'pg_commit_ts', fromPage: pages.first, beforePage: pages.last + 1 };
  pages.clear();
  return [effect];
}
