import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { SlruName } from '../page-key.ts';
import { unknownOpcode } from '../rmgr/resource-manager.ts';
import { membersPage, nextMulti, offsetsPage, segmentStart } from '../slru/layout.ts';
import { zeroedPage } from '../slru/touched.ts';
import { raiseMulti } from './control-effects.ts';
import { xidPrecedes } from './transaction-table.ts';
import type { Effect, VolumeState } from './volume-state.ts';

/** Which SLRU pages there are, and the counters that go with them. */

/** TRUNCATE (xl_clog_truncate): 0 page i64, 8 oldest xid u32, 12 its database u32. */
export function applyClog(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  if (op === OPCODE.CLOG.ZEROPAGE) return extend(state, 'pg_xact', record);
  if (op !== OPCODE.CLOG.TRUNCATE) throw unknownOpcode(record, undefined);
  const counters = state.control.checkPointCopy;
  counters.oldestXid = record.mainData.readUInt32LE(8);
  counters.oldestXidDb = record.mainData.readUInt32LE(12);
  return truncate(state, 'pg_xact', record.mainData.readUInt32LE(0));
}

/** TRUNCATE (xl_commit_ts_truncate): 0 page i64, 8 oldest xid u32. */
export function applyCommitTimestamps(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  if (op === OPCODE.COMMIT_TS.ZEROPAGE) return extend(state, 'pg_commit_ts', record);
  if (op !== OPCODE.COMMIT_TS.TRUNCATE) throw unknownOpcode(record, undefined);
  const counters = state.control.checkPointCopy;
  const oldest = record.mainData.readUInt32LE(8);
  if (counters.oldestCommitTsXid !== 0 && xidPrecedes(counters.oldestCommitTsXid, oldest)) counters.oldestCommitTsXid = oldest;
  return truncate(state, 'pg_commit_ts', record.mainData.readUInt32LE(0));
}

/**
 * CREATE_ID (xl_multixact_create): 0 id u32, 4 members' offset u32, 8 count i32, 12 members (u32 xid, u32 status).
 * TRUNCATE_ID: 0 database of the oldest u32, 4 and 8 range of ids, 12 and 16 range of member offsets (u32).
 */
export function applyMultixact(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const { mainData } = record;
  switch (RMGRS.opcodeOf(record.rmid, record.info)) {
    case OPCODE.MULTIXACT.ZERO_OFF_PAGE:
      return extend(state, 'pg_multixact/offsets', record);
    case OPCODE.MULTIXACT.ZERO_MEM_PAGE:
      return extend(state, 'pg_multixact/members', record);
    case OPCODE.MULTIXACT.CREATE_ID: {
      const members = mainData.readInt32LE(8);
      for (let i = 0; i < members; i++) state.transactions.observe(mainData.readUInt32LE(12 + i * 8));
      raiseMulti(state.control.checkPointCopy, nextMulti(mainData.readUInt32LE(0)), (mainData.readUInt32LE(4) + members) >>> 0);
      return undefined;
    }
    case OPCODE.MULTIXACT.TRUNCATE_ID: {
      const counters = state.control.checkPointCopy;
      const oldest = mainData.readUInt32LE(8);
      counters.oldestMulti = oldest;
      counters.oldestMultiDb = mainData.readUInt32LE(0);
      // One id back, so that the page cut at always exists (PerformOffsetsTruncation).
      const lastGone = oldest <= 1 ? 0xffff_ffff : oldest - 1;
      return [
        ...(truncate(state, 'pg_multixact/members', membersPage(mainData.readUInt32LE(16))) ?? []),
        ...(truncate(state, 'pg_multixact/offsets', offsetsPage(lastGone)) ?? []),
      ];
    }
    default:
      throw unknownOpcode(record, undefined);
  }
}

function extend(state: VolumeState, slru: SlruName, record: WalRecord): undefined {
  state.slrus[slru].extend(zeroedPage(record));
}

/** Drops the segments that lie wholly before `page`. */
function truncate(state: VolumeState, slru: SlruName, page: number): Effect[] | undefined {
  const range = state.slrus[slru];
  const fromPage = range.first;
  const beforePage = segmentStart(page);
  return range.truncateBefore(beforePage) ? [{ kind: 'slru-truncate', slru, fromPage, beforePage }] : undefined;
}
