import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { TouchedPage } from '../contract.ts';
import { SLRU_KINDS } from '../page-key.ts';
import { PageLayoutError } from '../page/header.ts';
import { unknownOpcode } from '../rmgr/resource-manager.ts';
import { subxidAt, transactionEnd } from '../xact-record.ts';
import {
  COMMIT_TS_ENTRY_SIZE,
  COMMIT_TS_PER_PAGE,
  commitTsPage,
  MEMBER_GROUP_SIZE,
  MEMBERS_PER_GROUP,
  MEMBERS_PER_PAGE,
  membersPage,
  nextMembersOffset,
  nextMulti,
  OFFSETS_PER_PAGE,
  offsetsPage,
  XIDS_PER_XACT_PAGE,
  xactPage,
} from './layout.ts';

const COMMITTED = 1;
const ABORTED = 2;

/**
 * Applies a record to an SLRU page, in place. These pages have no LSN: the caller applies each record once, in order.
 */
export function slruRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  switch (record.rmid) {
    case RMGR.XACT:
      return redoTransactionEnd(page, record, touched);
    case RMGR.CLOG:
    case RMGR.COMMIT_TS:
      if (op !== OPCODE.CLOG.ZEROPAGE) break;
      page.fill(0);
      return;
    case RMGR.MULTIXACT:
      if (op === OPCODE.MULTIXACT.ZERO_OFF_PAGE || op === OPCODE.MULTIXACT.ZERO_MEM_PAGE) {
        page.fill(0);
        return;
      }
      if (op !== OPCODE.MULTIXACT.CREATE_ID) break;
      if (touched.dbOid === SLRU_KINDS['pg_multixact/offsets']) return recordOffsets(page, record, touched.block);
      return recordMembers(page, record, touched.block);
  }
  throw unknownOpcode(record, touched.block);
}

/** Of prepared transactions, and commit timestamps: pg_xact's bits of the others are set in C (../../native/slru.c). */
function redoTransactionEnd(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const end = transactionEnd(record);
  if (end === undefined) throw unknownOpcode(record, touched.block);
  if (touched.dbOid === SLRU_KINDS.pg_xact) {
    const status = end.committed ? COMMITTED : ABORTED;
    if (xactPage(end.xid) === touched.block) setStatus(page, end.xid, status);
    for (let i = 0; i < end.subxids; i++) {
      const xid = subxidAt(record, end, i);
      if (xactPage(xid) === touched.block) setStatus(page, xid, status);
    }
    return;
  }
  if (touched.dbOid !== SLRU_KINDS.pg_commit_ts) throw new PageLayoutError('a transaction end touches pg_xact and pg_commit_ts only');
  // A replicated transaction keeps the time of its origin.
  const time = record.mainData.readBigInt64LE(end.originAt < 0 ? 0 : end.originAt + 8);
  const origin = record.origin ?? 0;
  if (commitTsPage(end.xid) === touched.block) setCommitTime(page, end.xid, time, origin);
  for (let i = 0; i < end.subxids; i++) {
    const xid = subxidAt(record, end, i);
    if (commitTsPage(xid) === touched.block) setCommitTime(page, xid, time, origin);
  }
}

function setStatus(page: Buffer, xid: number, status: number): void {
  const index = xid % XIDS_PER_XACT_PAGE;
  const at = index >>> 2;
  const shift = (index & 3) * 2;
  page.writeUInt8((page.readUInt8(at) & ~(3 << shift)) | (status << shift), at);
}

function setCommitTime(page: Buffer, xid: number, time: bigint, origin: number): void {
  const at = (xid % COMMIT_TS_PER_PAGE) * COMMIT_TS_ENTRY_SIZE;
  page.writeBigInt64LE(time, at);
  page.writeUInt16LE(origin, at + 8);
}

/** xl_multixact_create: 0 mid u32, 4 moff u32, 8 nmembers i32, 12 members (u32 xid, u32 status). */
function recordOffsets(page: Buffer, { mainData }: WalRecord, block: number): void {
  const multi = mainData.readUInt32LE(0);
  const offset = mainData.readUInt32LE(4);
  const next = nextMulti(multi);
  if (offsetsPage(multi) === block) page.writeUInt32LE(offset, (multi % OFFSETS_PER_PAGE) * 4);
  // The end of this one's members is recorded at once (since 18.2), so that a reader need not wait for the next id.
  if (offsetsPage(next) === block) {
    page.writeUInt32LE(nextMembersOffset(offset, mainData.readInt32LE(8)), (next % OFFSETS_PER_PAGE) * 4);
  }
}

function recordMembers(page: Buffer, { mainData }: WalRecord, block: number): void {
  const first = mainData.readUInt32LE(4);
  const members = mainData.readInt32LE(8);
  for (let i = 0; i < members; i++) {
    const offset = (first + i) >>> 0;
    if (membersPage(offset) !== block) continue;
    const inPage = offset % MEMBERS_PER_PAGE;
    const group = Math.floor(inPage / MEMBERS_PER_GROUP) * MEMBER_GROUP_SIZE;
    const slot = inPage % MEMBERS_PER_GROUP;
    page.writeUInt8(mainData.readUInt32LE(12 + i * 8 + 4), group + slot);
    page.writeUInt32LE(mainData.readUInt32LE(12 + i * 8), group + MEMBERS_PER_GROUP + slot * 4);
  }
}
