import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { describe, expect, test } from 'vitest';
import type { SlruName } from '../page-key.ts';
import { PAGE_SIZE } from '../page/header.ts';
import { redo } from '../redo.ts';
import { madeRecord, packed } from '../test-record.ts';
import { touchedPages } from '../touched-pages.ts';
import { COMMIT_TS_PER_PAGE, MEMBERS_PER_PAGE, OFFSETS_PER_PAGE, slruPage, XIDS_PER_XACT_PAGE } from './layout.ts';

/** Applies a record to zeroed SLRU pages; which pages it names, and what each then holds. */
function applied(record: WalRecord, commitTimestamps = false): Map<string, Buffer> {
  const pages = touchedPages(record, commitTimestamps);
  return new Map(pages.map((page) => [`${page.dbOid}/${page.block}`, redo(Buffer.alloc(PAGE_SIZE), record, page)]));
}

function key(slru: SlruName, block: number): string {
  return `${slruPage(slru, block, false).dbOid}/${block}`;
}

function status(page: Buffer | undefined, xid: number): number | undefined {
  const index = xid % XIDS_PER_XACT_PAGE;
  return page === undefined ? undefined : (page.readUInt8(index >>> 2) >>> ((index & 3) * 2)) & 3;
}

const HAS_INFO = 0x80;
const last = XIDS_PER_XACT_PAGE - 1;

describe('pg_xact', () => {
  const subcommits = packed([8, 12_345], [4, 0x02], [4, 3], [4, last - 1], [4, last], [4, last + 1]);

  test('a commit marks its subtransactions on every page they are on', () => {
    const pages = applied(madeRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT | HAS_INFO, xid: last - 2, mainData: subcommits }));
    expect([...pages.keys()]).toEqual([key('pg_xact', 0), key('pg_xact', 1)]);
    expect([last - 2, last - 1, last].map((xid) => status(pages.get(key('pg_xact', 0)), xid))).toEqual([1, 1, 1]);
    expect(status(pages.get(key('pg_xact', 1)), last + 1)).toBe(1);
    expect(status(pages.get(key('pg_xact', 0)), last - 3)).toBe(0);
  });

  test('the end of a prepared transaction marks the transaction it names, not the one that ends it', () => {
    const data = packed([8, 0], [4, 0x91], [4, 5], [4, 1663], [4, 700], [1, 0x67], [1, 0]);
    const pages = applied(madeRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.ABORT_PREPARED | HAS_INFO, xid: 0, mainData: data }));
    expect(status(pages.get(key('pg_xact', 0)), 700)).toBe(2);
  });

  test('a new page is zeros whatever was there', () => {
    const record = madeRecord({ rmid: RMGR.CLOG, info: OPCODE.CLOG.ZEROPAGE, mainData: packed([8, 4]) });
    const [page] = touchedPages(record);
    expect(page).toMatchObject({ block: 4, replaces: true });
    expect(redo(Buffer.alloc(PAGE_SIZE, 0xff), record, page ?? slruPage('pg_xact', 4, true))).toEqual(Buffer.alloc(PAGE_SIZE));
  });
});

describe('pg_commit_ts', () => {
  const commit = (flags: number, ...rest: Buffer[]): WalRecord =>
    madeRecord({
      rmid: RMGR.XACT,
      info: OPCODE.XACT.COMMIT | HAS_INFO,
      xid: 5 * COMMIT_TS_PER_PAGE + 3,
      origin: flags === 0 ? undefined : 9,
      mainData: Buffer.concat([packed([8, 1000], [4, flags]), ...rest]),
    });

  test('is touched only while it is kept', () => {
    expect([...applied(commit(0)).keys()]).toEqual([key('pg_xact', 0)]);
    const pages = applied(commit(0), true);
    expect(pages.get(key('pg_commit_ts', 5))?.subarray(30, 40)).toEqual(packed([8, 1000], [2, 0]));
  });

  test("has the origin's time for what came from elsewhere", () => {
    const pages = applied(commit(0x20, packed([8, 0x77], [8, 2000])), true);
    expect(pages.get(key('pg_commit_ts', 5))?.subarray(30, 40)).toEqual(packed([8, 2000], [2, 9]));
  });

  test('has nothing of aborted transactions', () => {
    const abort = madeRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.ABORT, xid: 900, mainData: packed([8, 1]) });
    expect([...applied(abort, true).keys()]).toEqual([key('pg_xact', 0)]);
  });
});

describe('pg_multixact', () => {
  const create = (multi: number, offset: number, members: number): WalRecord =>
    madeRecord({
      rmid: RMGR.MULTIXACT,
      info: OPCODE.MULTIXACT.CREATE_ID,
      mainData: packed(
        [4, multi],
        [4, offset],
        [4, members],
        ...Array.from(
          { length: members },
          (_, i) =>
            [
              [4, 800 + i],
              [4, i % 6],
            ] as const,
        ).flat(),
      ),
    });

  test('records where the next one starts, on the next page when it is there', () => {
    const pages = applied(create(OFFSETS_PER_PAGE - 1, 500, 3));
    expect(pages.get(key('pg_multixact/offsets', 0))?.readUInt32LE((OFFSETS_PER_PAGE - 1) * 4)).toBe(500);
    expect(pages.get(key('pg_multixact/offsets', 1))?.readUInt32LE(0)).toBe(503);
  });

  test('spreads members over pages, and over the end of their numbers', () => {
    const pages = applied(create(10, MEMBERS_PER_PAGE - 1, 2));
    const first = pages.get(key('pg_multixact/members', 0));
    expect(first?.readUInt32LE(408 * 20 + 4 + 3 * 4)).toBe(800);
    expect(pages.get(key('pg_multixact/members', 1))?.subarray(0, 8)).toEqual(packed([1, 1], [1, 0], [1, 0], [1, 0], [4, 801]));
    const wrapped = applied(create(10, 0xffff_ffff, 2));
    expect([...wrapped.keys()]).toEqual([
      key('pg_multixact/offsets', 0),
      key('pg_multixact/members', 2_625_285),
      key('pg_multixact/members', 0),
    ]);
    expect(wrapped.get(key('pg_multixact/offsets', 0))?.readUInt32LE(11 * 4)).toBe(1);
  });

  test('id 0 is skipped when ids wrap around', () => {
    const pages = applied(create(0xffff_ffff, 5, 1));
    expect(pages.get(key('pg_multixact/offsets', 0))?.readUInt32LE(4)).toBe(6);
  });
});
