import { type Lsn, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { unknownOpcode } from '../rmgr/resource-manager.ts';
import { subxidAt, type TransactionEnd, transactionEnd, transactionOpcode } from '../xact-record.ts';
import { xidPrecedes } from './transaction-table.ts';
import { addPrepared, type Effect, preparedXids, type VolumeState } from './volume-state.ts';

/** Transactions that begin, prepare and end, their locks, dropped relations and replication progress. */

export function applyTransaction(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const { mainData } = record;
  const end = transactionEnd(record);
  if (end !== undefined) return applyEnd(state, record, end);
  switch (transactionOpcode(record)) {
    case OPCODE.XACT.PREPARE:
      addPrepared(state, mainData);
      return undefined;
    case OPCODE.XACT.ASSIGNMENT:
      // xl_xact_assignment: 0 top-level xid u32, 4 count i32, 8 subtransaction xids u32.
      for (let i = 0; i < mainData.readInt32LE(4); i++) state.transactions.observe(mainData.readUInt32LE(8 + i * 4));
      return undefined;
    case OPCODE.XACT.INVALIDATION:
      return undefined;
    default:
      throw unknownOpcode(record, undefined);
  }
}

function applyEnd(state: VolumeState, record: WalRecord, end: TransactionEnd): Effect[] | undefined {
  const { transactions, locks } = state;
  transactions.observe(end.xid);
  let latest = end.xid;
  for (let i = 0; i < end.subxids; i++) {
    latest = subxidAt(record, end, i);
    transactions.observe(latest);
    transactions.finish(latest);
    if (locks.size > 0) locks.delete(latest);
  }
  transactions.finish(end.xid);
  if (locks.size > 0) locks.delete(end.xid);
  if (end.prepared) state.prepared.delete(end.xid);
  if (end.committed && state.control.trackCommitTimestamp) {
    const counters = state.control.checkPointCopy;
    if (xidPrecedes(counters.newestCommitTsXid, latest)) counters.newestCommitTsXid = latest;
  }
  if (end.originAt >= 0) {
    advanceOrigin(state, record.origin ?? 0, record.mainData.readBigUInt64LE(end.originAt) as Lsn, record.endLsn, false);
  }
  return end.relations > 0 ? dropRelations(state, record, end) : undefined;
}

function dropRelations(state: VolumeState, { mainData }: WalRecord, end: TransactionEnd): Effect[] {
  const effects: Effect[] = [];
  for (let i = 0; i < end.relations; i++) {
    const at = end.relationsAt + i * 12;
    const relation = { spcOid: mainData.readUInt32LE(at), dbOid: mainData.readUInt32LE(at + 4), relNumber: mainData.readUInt32LE(at + 8) };
    state.relations.drop(relation.spcOid, relation.dbOid, relation.relNumber);
    effects.push({ kind: 'drop', relation });
  }
  return effects;
}

/**
 * LOCK (xl_standby_locks): 0 count i32, 4 locks (xid, database, relation; u32 each). RUNNING_XACTS (xl_running_xacts):
 * 12 nextXid u32, 16 oldestRunningXid u32.
 */
export function applyStandby(state: VolumeState, record: WalRecord): undefined {
  const { mainData } = record;
  switch (RMGRS.opcodeOf(record.rmid, record.info)) {
    case OPCODE.STANDBY.LOCK:
      for (let i = 0; i < mainData.readInt32LE(0); i++) {
        const at = 4 + i * 12;
        addLock(state, mainData.readUInt32LE(at), mainData.readUInt32LE(at + 4), mainData.readUInt32LE(at + 8));
      }
      return undefined;
    case OPCODE.STANDBY.RUNNING_XACTS: {
      const oldest = mainData.readUInt32LE(16);
      const next = mainData.readUInt32LE(12);
      state.transactions.observe(next <= 3 ? 0xffff_ffff : next - 1);
      const prepared = preparedXids(state);
      state.transactions.prune(oldest, prepared);
      for (const xid of state.locks.keys()) if (xidPrecedes(xid, oldest) && !prepared.has(xid)) state.locks.delete(xid);
      return undefined;
    }
    case OPCODE.STANDBY.INVALIDATIONS:
      return undefined;
    default:
      throw unknownOpcode(record, undefined);
  }
}

function addLock(state: VolumeState, xid: number, dbOid: number, relOid: number): void {
  const held = state.locks.get(xid);
  if (held === undefined) state.locks.set(xid, [{ dbOid, relOid }]);
  else if (!held.some((lock) => lock.dbOid === dbOid && lock.relOid === relOid)) held.push({ dbOid, relOid });
}

/** SET (xl_replorigin_set): 0 remote LSN u64, 8 origin u16, 10 force bool. DROP: 0 origin u16. */
export function applyOrigin(state: VolumeState, record: WalRecord): undefined {
  const { mainData } = record;
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  if (op === OPCODE.REPLORIGIN.SET) {
    advanceOrigin(state, mainData.readUInt16LE(8), mainData.readBigUInt64LE(0) as Lsn, record.endLsn, mainData.readUInt8(10) !== 0);
  } else if (op === OPCODE.REPLORIGIN.DROP) {
    state.origins.delete(mainData.readUInt16LE(0));
  } else {
    throw unknownOpcode(record, undefined);
  }
}

/** An origin that asks not to be replicated (DoNotReplicateId) has no progress. */
const DO_NOT_REPLICATE = 0xffff;

function advanceOrigin(state: VolumeState, origin: number, remoteLsn: Lsn, localLsn: Lsn, backward: boolean): void {
  if (origin === DO_NOT_REPLICATE) return;
  const before = state.origins.get(origin);
  const forward = before === undefined || backward || before.remoteLsn < remoteLsn;
  state.origins.set(origin, { remoteLsn: forward ? remoteLsn : before.remoteLsn, localLsn });
}
