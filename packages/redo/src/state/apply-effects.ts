import { recordName, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RedoError } from '../contract.ts';
import { applyDatabase, applyRelationMap, applyStorage, applyTablespace } from './catalog-effects.ts';
import { applyControl } from './control-effects.ts';
import { applyClog, applyCommitTimestamps, applyMultixact } from './slru-effects.ts';
import { applyOrigin, applyStandby, applyTransaction } from './transaction-effects.ts';
import type { Effect, VolumeState } from './volume-state.ts';

/** Returned for the records that leave the page store alone, which is nearly all. Never written to. */
const NONE: readonly Effect[] = [];

/**
 * Brings the state forward by one record and returns what else the page store must do. Records come in order, each once.
 * Throws RedoError when a record is not what PostgreSQL 18 writes; the state is then of no use.
 */
export function applyEffects(state: VolumeState, record: WalRecord): readonly Effect[] {
  state.lastRecordLsn = record.lsn;
  state.endLsn = record.endLsn;
  state.transactions.observe(record.xid);
  const { blocks } = record;
  if (blocks.length > 0) {
    for (const block of blocks) state.relations.touch(block.spcOid, block.dbOid, block.relNumber, block.fork, block.blockNumber);
    state.maxPageLsn = record.endLsn;
    return NONE;
  }
  if (record.rmid > RMGR.STANDBY && record.rmid < RMGR.COMMIT_TS) return NONE;
  try {
    return applyByManager(state, record) ?? NONE;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const name = recordName(record);
    const failure = new RedoError(`${name} cannot be applied to the volume's state: ${reason}`, {
      lsn: record.lsn,
      record: name,
      page: undefined,
    });
    failure.cause = error;
    throw failure;
  }
}

function applyByManager(state: VolumeState, record: WalRecord): readonly Effect[] | undefined {
  switch (record.rmid) {
    case RMGR.XLOG:
      return applyControl(state, record);
    case RMGR.XACT:
      return applyTransaction(state, record);
    case RMGR.SMGR:
      return applyStorage(state, record);
    case RMGR.CLOG:
      return applyClog(state, record);
    case RMGR.DBASE:
      return applyDatabase(state, record);
    case RMGR.TBLSPC:
      return applyTablespace(state, record);
    case RMGR.MULTIXACT:
      return applyMultixact(state, record);
    case RMGR.RELMAP:
      return applyRelationMap(state, record);
    case RMGR.STANDBY:
      return applyStandby(state, record);
    case RMGR.COMMIT_TS:
      return applyCommitTimestamps(state, record);
    case RMGR.REPLORIGIN:
      return applyOrigin(state, record);
    default:
      // Logical messages, generic records and extensions' without pages change nothing that is kept here.
      return undefined;
  }
}
