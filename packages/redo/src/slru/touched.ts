import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { TouchedPage } from '../contract.ts';
import type { SlruName } from '../page-key.ts';
import { subxidAt, transactionEnd } from '../xact-record.ts';
import { commitTsPage, membersPage, nextMulti, offsetsPage, slruPage, xactPage } from './layout.ts';

/** Adds the SLRU pages that a record changes. Commit timestamps are kept only while track_commit_timestamp is on. */
export function addTouchedSlruPages(touched: TouchedPage[], record: WalRecord, commitTimestamps: boolean): void {
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  switch (record.rmid) {
    case RMGR.XACT:
      addTransactionEnd(touched, record, commitTimestamps);
      return;
    case RMGR.CLOG:
      if (op === OPCODE.CLOG.ZEROPAGE) touched.push(slruPage('pg_xact', zeroedPage(record), true));
      return;
    case RMGR.COMMIT_TS:
      if (op === OPCODE.COMMIT_TS.ZEROPAGE) touched.push(slruPage('pg_commit_ts', zeroedPage(record), true));
      return;
    case RMGR.MULTIXACT:
      if (op === OPCODE.MULTIXACT.ZERO_OFF_PAGE) touched.push(slruPage('pg_multixact/offsets', zeroedPage(record), true));
      else if (op === OPCODE.MULTIXACT.ZERO_MEM_PAGE) touched.push(slruPage('pg_multixact/members', zeroedPage(record), true));
      else if (op === OPCODE.MULTIXACT.CREATE_ID) addMultixact(touched, record);
      return;
  }
}

/** Page number of a ZEROPAGE record: i64, always below 2^32. */
export function zeroedPage(record: WalRecord): number {
  return record.mainData.readUInt32LE(0);
}

function addTransactionEnd(touched: TouchedPage[], record: WalRecord, commitTimestamps: boolean): void {
  const end = transactionEnd(record);
  if (end === undefined) return;
  touched.push(slruPage('pg_xact', xactPage(end.xid), false));
  for (let i = 0; i < end.subxids; i++) addOnce(touched, 'pg_xact', xactPage(subxidAt(record, end, i)));
  if (!commitTimestamps || !end.committed) return;
  addOnce(touched, 'pg_commit_ts', commitTsPage(end.xid));
  for (let i = 0; i < end.subxids; i++) addOnce(touched, 'pg_commit_ts', commitTsPage(subxidAt(record, end, i)));
}

function addMultixact(touched: TouchedPage[], { mainData }: WalRecord): void {
  const multi = mainData.readUInt32LE(0);
  const offset = mainData.readUInt32LE(4);
  addOnce(touched, 'pg_multixact/offsets', offsetsPage(multi));
  addOnce(touched, 'pg_multixact/offsets', offsetsPage(nextMulti(multi)));
  for (let i = 0; i < mainData.readInt32LE(8); i++) addOnce(touched, 'pg_multixact/members', membersPage((offset + i) >>> 0));
}

/** The lists are short and ids ascend, so that a page already named is nearly always the last one. */
function addOnce(touched: TouchedPage[], slru: SlruName, block: number): void {
  const page = slruPage(slru, block, false);
  for (let i = touched.length - 1; i >= 0; i--) {
    if (touched[i]?.block === block && touched[i]?.dbOid === page.dbOid) return;
  }
  touched.push(page);
}
