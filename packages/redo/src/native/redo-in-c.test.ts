import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HEAP_TUPLE_HEADER, INFO_INIT_PAGE, OPCODE, PAGE_HEADER, RECORD_HEADER, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { crc32cRange } from '@kube-aurora/pg-format/crc32c';
import type { PageKey, RedoPages, RedoSteps } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { sanitizedSources } from '../../native/build.mjs';
import {
  addItem,
  getPageLsn,
  initPage,
  itemBytes,
  LP_UNUSED,
  lineCount,
  linePointer,
  PAGE_SIZE,
  pageLower,
  pageUpper,
  setLinePointer,
} from '../page/index.ts';
import { pageKeyOf } from '../page-space.ts';
import { postgres18 } from '../postgres18.ts';
import { redo } from '../redo.ts';
import { madeRecord, packed, type MadeRecord } from '../test-record.ts';
import { touchedPages } from '../touched-pages.ts';
import { pageRedo } from './addon.ts';

const PAGE = { spcOid: 1663, dbOid: 5, relNumber: 16384, fork: 0, block: 7 };

const applyTo = (page: Buffer, raw: Buffer): boolean => pageRedo().apply(raw, 0x100_0028n, page, 1663, 5, 16384, 0, 7);

/** xl_heap_insert of a tuple with `bytes` of data. */
function insertion(offsetNumber: number, bytes: number, lsn = 0x100_0028, info = 0): WalRecord {
  return madeRecord({
    rmid: RMGR.HEAP,
    info: OPCODE.HEAP.INSERT | info,
    xid: 700 + offsetNumber,
    lsn,
    mainData: packed([2, offsetNumber], [1, 0]),
    blocks: [{ id: 0, blockNumber: 7, data: Buffer.concat([packed([2, 2], [2, 0x0800], [1, 24]), Buffer.alloc(bytes + 1, offsetNumber)]) }],
  });
}

/** xl_heap_prune that makes items unused. */
function prune(lockedForCleanup: boolean, ...unused: number[]): MadeRecord {
  const data = packed([2, unused.length], ...unused.map((one) => [2, one] as const));
  const mainData = packed([1, 0], [1, 0x80 | (lockedForCleanup ? 0x04 : 0)]);
  return { rmid: RMGR.HEAP2, info: OPCODE.HEAP2.PRUNE_ON_ACCESS, mainData, blocks: [{ id: 0, blockNumber: 7, data }] };
}

function pageOf(...items: Buffer[]): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initPage(page, 0);
  for (const item of items) addItem(page, item, lineCount(page) + 1, 'overwrite');
  return page;
}

describe('whatever record and page hold', () => {
  const bytes = (maxLength: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength }).map((each) => Buffer.from(each));
  const word = fc.oneof({ weight: 4, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat(0xffff) });
  const words = fc.array(word, { maxLength: 40 }).map((each) => packed(...each.map((one) => [2, one] as const)));
  const rmid = fc.constantFrom(RMGR.HEAP, RMGR.HEAP2, RMGR.BTREE, RMGR.XLOG);
  const made = fc
    .record({ rmid, info: fc.nat(15), mainData: words, data: fc.oneof(words, bytes(300)), more: fc.boolean() })
    .map(({ rmid: id, info, mainData, data, more }) => {
      const blocks = [{ id: 0, blockNumber: 7, data }, ...(more ? [{ id: 1, blockNumber: 9 }] : [])];
      return madeRecord({ rmid: id, info: info << 4, mainData, blocks }).raw;
    });
  const raws = fc.oneof({ weight: 4, arbitrary: made }, { weight: 1, arbitrary: bytes(200) });
  const items = fc.array(bytes(60), { maxLength: 8 }).map((each) => pageOf(...each));
  const wild = fc.uint8Array({ minLength: PAGE_SIZE, maxLength: PAGE_SIZE, size: 'max' }).map((each) => Buffer.from(each));
  const damaged = fc.tuple(items, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 })).map(([page, changes]) => {
    for (const [at, byte] of changes) page[at] = byte;
    return page;
  });
  const pages = fc.oneof({ weight: 6, arbitrary: items }, { weight: 6, arbitrary: damaged }, { weight: 1, arbitrary: wild });

  it('it is applied, left alone, or refused with a reason, and only the first changes the page', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(raws, pages, (raw, page) => {
        const before = Buffer.from(page);
        let outcome: string;
        try {
          outcome = applyTo(page, raw) ? 'applied' : 'left';
        } catch (error) {
          outcome = 'refused';
          expect((error as Error).message).toMatch(/\w+ \w+/);
        }
        seen.add(outcome);
        if (outcome !== 'applied') expect(page.equals(before)).toBe(true);
      }),
      { numRuns: 1500 },
    );
    expect([...seen].toSorted()).toEqual(['applied', 'left', 'refused']);
  });

  it('the sanitizers find nothing', () => {
    const directory = mkdtempSync('/tmp/aurora-redo-');
    try {
      const program = join(directory, 'damage');
      const source = join(import.meta.dirname, '../../native/test/damage.c');
      execFileSync('cc', ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', '-o', program, source, ...sanitizedSources()]);
      expect(execFileSync(program, ['1', '40000'], { encoding: 'utf8' })).toMatch(
        /^\d{5} records: \d{4} applied, \d{4} refused, \d{5} not ours; \d{4} and \d{4} of them B-tree's from splits on; \d{5} walked over\n$/,
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  }, 60_000);
});

test('its CRC is that of the table, over any stretch', () => {
  const { crc32c } = pageRedo();
  const span = fc.tuple(fc.nat(9000), fc.nat(9000), fc.nat(0xffff_ffff), fc.nat(255));
  fc.assert(
    fc.property(span, ([a, b, seed, fill]) => {
      const bytes = Buffer.from(Uint32Array.from({ length: 2250 }, (_, at) => Math.imul(at * at + fill, 2654435761)).buffer);
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      let due = seed;
      // So few that crc32cRange has a table for them.
      for (let at = start; at < end; at += 100) due = crc32cRange(bytes, at, Math.min(end, at + 100), due);
      expect(crc32c(bytes, start, end, seed)).toBe(due >>> 0);
      expect(crc32cRange(bytes, start, end, seed) >>> 0).toBe(due >>> 0);
    }),
    { numRuns: 200 },
  );
  expect(() => crc32c(Buffer.alloc(8), 4, 9, 0)).toThrow(TypeError);
});

test('layouts are those of the tables in pg-format', () => {
  const { layouts } = pageRedo();
  const tables = { RECORD: RECORD_HEADER, PAGE: PAGE_HEADER, TUPLE: HEAP_TUPLE_HEADER };
  const named = {
    lsnHigh: 'lsn_high',
    lsnLow: 'lsn_low',
    pageSizeVersion: 'size_version',
    pruneXid: 'prune_xid',
    totalLength: 'total_length',
  };
  const ctid = { ctidBlockHigh: 'ctid_block_high', ctidBlockLow: 'ctid_block_low', ctidOffset: 'ctid_offset' };
  const names: Readonly<Record<string, string>> = { ...named, ...ctid };
  const rows = Object.entries(tables).flatMap(([table, fields]) =>
    Object.entries(fields).map(([field, { at }]) => [`${table}_${names[field] ?? field}`, at] as const),
  );
  for (const [name, at] of rows.filter(([each]) => each !== 'PAGE_checksum')) expect([name, layouts[name]]).toEqual([name, at]);
  expect(layouts).toMatchObject({ PAGE_BYTES: 8192, PAGE_HEADER_BYTES: 24, PAGE_SIZE_AND_VERSION: 0x2004, RECORD_HEADER_BYTES: 24 });
});

describe('pruning', () => {
  const items = [1, 2, 3, 4].map((each) => Buffer.alloc(each === 2 ? 16 : 8, each));
  const pruned = (record: MadeRecord, page: Buffer): Buffer => {
    expect(applyTo(page, madeRecord(record).raw)).toBe(true);
    return page;
  };

  it('closes gaps under a cleanup lock, and drops unused line pointers at the end only', () => {
    const page = pruned(prune(true, 2, 4), pageOf(...items));
    expect(lineCount(page)).toBe(3);
    expect([itemBytes(page, 1), itemBytes(page, 3)]).toEqual([items[0], items[2]]);
    expect(linePointer(page, 2)).toBe(0);
    expect(pageUpper(page)).toBe(PAGE_SIZE - 16);
  });

  it('without one moves nothing, and keeps the first line pointer though it is unused', () => {
    const page = pageOf(...items.slice(0, 2));
    setLinePointer(page, 1, 0, LP_UNUSED, 0);
    const { length } = pruned(prune(false, 2), page);
    expect([length, pageLower(page), pageUpper(page)]).toEqual([PAGE_SIZE, 28, PAGE_SIZE - 24]);
  });

  it('that fails half-way leaves the page as it was', () => {
    const page = pageOf(...items);
    const before = Buffer.from(page);
    expect(() => applyTo(page, madeRecord(prune(true, 2, 9)).raw)).toThrow('no line pointer 9: the page has 4');
    expect(page).toEqual(before);
  });
});

describe('a run', () => {
  const records = Array.from({ length: 6 }, (_, at) => insertion(at + 1, at * 9, 0x100_0028 + at * 512, at === 0 ? INFO_INIT_PAGE : 0));
  const noop = madeRecord({ rmid: RMGR.GIN, info: OPCODE.GIN.UPDATE_META_PAGE, lsn: 0x100_2028, blocks: [{ id: 0, blockNumber: 7 }] });

  /** The records as they stand in a log, each after its LSN, and a step of `PAGE` for each. */
  function logOf(given: readonly WalRecord[]): { log: Buffer; steps: RedoSteps; pages: RedoPages & { readonly bytes: Buffer[] } } {
    const starts: number[] = [];
    let at = 0;
    for (const { raw } of given) {
      starts.push(at);
      at += 8 + raw.length;
    }
    const log = Buffer.concat(given.flatMap(({ lsn, raw }) => [packed([8, Number(lsn)]), raw]));
    const steps = {
      positions: Float64Array.from(starts, (start) => start + 4096),
      lengths: Uint32Array.from(given, ({ raw }) => raw.length),
      lsns: BigUint64Array.from(given, ({ lsn }) => lsn),
      pages: new Uint32Array(given.length),
    };
    const keys: PageKey[] = [pageKeyOf(PAGE)];
    return { log, steps, pages: { keys, bytes: [Buffer.alloc(PAGE_SIZE)], from: new BigUint64Array(1), applied: new Uint32Array(1) } };
  }
  const oneByOne = (given: readonly WalRecord[]): Buffer | undefined =>
    given.reduce<Buffer | undefined>(
      (page, record) => redo(page, record, touchedPages(record)[0] ?? expect.fail('touches nothing')),
      undefined,
    );
  const run = (steps: RedoSteps, pages: RedoPages, log: Buffer, first = 0): number =>
    postgres18.runner?.(steps, pages).apply(log, 4096, first, steps.pages.length) ?? -1;

  it('comes to what its records come to one by one', () => {
    const { log, steps, pages } = logOf(records);
    expect(run(steps, pages, log)).toBe(6);
    expect(pages.bytes[0]).toEqual(oneByOne(records));
    expect(pages.applied[0]).toBe(6);
    expect(getPageLsn(pages.bytes[0] ?? Buffer.alloc(0))).toBe(records.at(-1)?.endLsn);
    // The page says that it has them.
    expect(run(steps, pages, log)).toBe(6);
    expect(pages.bytes[0]).toEqual(oneByOne(records));
  });

  it('ends where the log that it is given does, and goes on from there', () => {
    const { log, steps, pages } = logOf(records);
    for (let length = 0; length < (steps.positions[1] ?? 0) - 4096; length++) expect(run(steps, pages, log.subarray(0, length))).toBe(0);
    expect(run(steps, pages, log.subarray(0, (steps.positions[3] ?? 0) - 4096 + 20))).toBe(3);
    expect(run(steps, pages, log, 3)).toBe(6);
    expect(pages.bytes[0]).toEqual(oneByOne(records));
  });

  it('ends before a record that is not one of its own, or not as it was written, or does not fit', () => {
    const foreign = logOf([...records.slice(0, 2), noop]);
    expect(run(foreign.steps, foreign.pages, foreign.log)).toBe(2);
    expect(foreign.pages.bytes[0]).toEqual(oneByOne(records.slice(0, 2)));
    const twice = logOf([...records.slice(0, 2), insertion(2, 4, 0x100_2028)]);
    expect(run(twice.steps, twice.pages, twice.log)).toBe(2);
    expect(twice.pages.bytes[0]).toEqual(oneByOne(records.slice(0, 2)));
    const { log, steps } = logOf(records);
    const third = (steps.positions[2] ?? 0) - 4096;
    for (let at = third; at < third + 8 + (steps.lengths[2] ?? 0); at++) {
      const flipped = Buffer.from(log);
      flipped[at]! ^= 0x20;
      const { pages } = logOf(records);
      expect(run(steps, pages, flipped)).toBe(2);
      expect(pages.applied[0]).toBe(2);
    }
  });

  it('passes over what a page has, and pages that are not to be changed', () => {
    const { log, steps, pages } = logOf(records);
    const [page] = pages.bytes;
    for (const record of records.slice(0, 4)) redo(page, record, touchedPages(record)[0] ?? expect.fail('touches nothing'));
    pages.from[0] = records[4]?.lsn ?? 0n;
    expect(run(steps, pages, log)).toBe(6);
    expect(pages.applied[0]).toBe(2);
    expect(page).toEqual(oneByOne(records));
    const none = { ...pages, bytes: [undefined], from: BigUint64Array.of(2n ** 64n - 1n) };
    expect(run(steps, none, log)).toBe(6);
    expect(run(steps, { ...none, from: BigUint64Array.of(0n) }, log)).toBe(0);
    expect(run(steps, { ...pages, keys: [{ space: 'none of ours', block: 7 }], from: BigUint64Array.of(0n) }, log)).toBe(0);
  });

  it('says which argument is wrong', () => {
    const { log, steps, pages } = logOf(records);
    expect(() => run({ ...steps, lengths: new Uint32Array(2) }, pages, log)).toThrow(TypeError);
    expect(() => run(steps, { ...pages, applied: new Uint32Array(0) }, log)).toThrow(TypeError);
    expect(() => applyTo(Buffer.alloc(8191), records[0]?.raw ?? log)).toThrow('page: a buffer of 8192 bytes');
  });
});
