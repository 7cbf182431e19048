import { type Lsn, type RecordWalk, RMGR, RMGR_CUSTOM_MIN, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { RedoError } from '@kube-aurora/redo-engine';
import { applyDatabase, applyRelationMap, applyStorage, applyTablespace } from './catalog-effects.ts';
import { applyControl } from './control-effects.ts';
import { applyClog, applyCommitTimestamps, applyMultixact } from './slru-effects.ts';
import { applyOrigin, applyStandby, applyTransaction } from './transaction-effects.ts';
import type { Effect, VolumeState } from './volume-state.ts';

/** Returned for the records that leave the page store alone, which is nearly all. Never written to. */
const NONE: readonly Effect[] = [];

/**
 * Whether PostgreSQL 18 has a record with that resource manager (22 of them) and high nibble of info: 16 entries each.
 */
export const KNOWN = knownRecords();

function knownRecords(): Uint8Array {
  const known = new Uint8Array((RMGR.LOGICALMSG + 1) * 16);
  for (let rmid = 0; rmid <= RMGR.LOGICALMSG; rmid++) {
    for (let info = 0; info < 0x100; info += 0x10) {
      if (RMGRS.has({ rmid, info })) known[(rmid << 4) | (info >> 4)] = 1;
    }
  }
  return known;
}

/**
 * Brings the state forward by one record and returns what else the page store must do. Records come in order, each
 * once. Throws RedoError when a record is not what PostgreSQL 18 writes; the state is then of no use.
 */
export function applyEffects(state: VolumeState, record: WalRecord): readonly Effect[] {
  state.lastRecordLsn = record.lsn;
  state.endLsn = record.endLsn;
  state.transactions.observe(record.xid);
  const { blocks } = record;
  if (!isKnown(record, blocks.length)) throw unknownRecord(record, record.lsn);
  if (blocks.length > 0) {
    for (const block of blocks) state.relations.touch(block.spcOid, block.dbOid, block.relNumber, block.fork, block.blockNumber);
    state.maxPageLsn = record.endLsn;
    return NONE;
  }
  if (record.rmid > RMGR.STANDBY && record.rmid < RMGR.COMMIT_TS) return NONE;
  try {
    return applyByManager(state, record) ?? NONE;
  } catch (error) {
    const failure = stateError(record, record.lsn, error instanceof Error ? error.message : String(error));
    failure.cause = error;
    throw failure;
  }
}

/**
 * Brings the state forward by a record with blocks that was only walked over, as {@link applyEffects} does: it has no effects beside its pages.
 * The state's LSNs are left to the caller.
 */
export function applyWalk(state: VolumeState, walk: RecordWalk): void {
  const { blocks, spcOids, dbOids, relNumbers, blockNumbers } = walk;
  if (!isKnown(walk, blocks)) throw unknownRecord(walk, BigInt(walk.lsn) as Lsn);
  state.transactions.observe(walk.xid);
  for (let at = 0; at < blocks; at++) {
    state.relations.touch(spcOids[at] ?? 0, dbOids[at] ?? 0, relNumbers[at] ?? 0, walk.fork(at), blockNumbers[at] ?? 0);
  }
}

/** What kind of record it is. */
type RecordKind = Pick<WalRecord, 'rmid' | 'info'>;

/** An extension's record with pages stands or falls with its page images; one without could mean anything. */
function isKnown({ rmid, info }: RecordKind, blocks: number): boolean {
  return KNOWN[(rmid << 4) | (info >> 4)] === 1 || (rmid >= RMGR_CUSTOM_MIN && blocks > 0);
}

function unknownRecord(record: RecordKind, lsn: Lsn): RedoError {
  return stateError(record, lsn, 'PostgreSQL 18 has no such record, and what an extension means by it is not known');
}

function stateError(record: RecordKind, lsn: Lsn, reason: string): RedoError {
  const name = RMGRS.recordName(record);
  return new RedoError(`${name} cannot be applied to the volume's state: ${reason}`, { lsn, record: name, page: undefined });
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
