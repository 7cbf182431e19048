import { expect, test } from 'vitest';
import { adviceOf, ADVICE_IDS, type Finding } from './finding.ts';
import { bloat, deadRows, duplicateIndexes, invalidIndexes, neverAnalyzed, sequences, unusedIndexes } from './relation-advice.ts';
import { cache, connections, openTransactions, preparedTransactions, slots, transactionIds } from './server-advice.ts';

const GIB = 2 ** 30;
const DAY_S = 86_400;
const transaction = { pid: 7, role: 'app', application: 'web', isIdle: false, openS: 10, inStateS: 10 };
const table = { name: 't', bytes: 50e6, countedRows: 100, live: 300_000, dead: 0 };
const unused = { name: 'i', table: 't', bytes: 50e6, watchedS: 8 * DAY_S };
const sequence = { name: 's', lastValue: 0, maxValue: 2_147_483_647 };

/** What is found, by id, and how urgent it is. */
const brief = (found: readonly Finding[]): string[] => found.map(({ id, severity }) => `${id} ${severity}`);

test.each<[string, readonly Finding[], readonly string[]]>([
  ['young ids', transactionIds([{ name: 'a', xidAge: 9.9e8, multixactAge: 1 }]), []],
  ['old ids', transactionIds([{ name: 'a', xidAge: 1e9, multixactAge: 1 }]), ['transactionIds warning']],
  ['old multixacts', transactionIds([{ name: 'a', xidAge: 1, multixactAge: 1.9e9 }]), ['transactionIds critical']],
  [
    'old ids in two databases',
    transactionIds([
      { name: 'a', xidAge: 1.1e9, multixactAge: 1 },
      { name: 'b', xidAge: 1.9e9, multixactAge: 1 },
    ]),
    ['transactionIds critical'],
  ],
  ['a short transaction', openTransactions([transaction]), []],
  ['a long one', openTransactions([{ ...transaction, openS: 3600 }]), ['longTransaction warning']],
  [
    'one that was left open',
    openTransactions([{ ...transaction, isIdle: true, openS: 700, inStateS: 600 }]),
    ['idleInTransaction warning'],
  ],
  [
    'a long one that was idle for a moment',
    openTransactions([{ ...transaction, isIdle: true, openS: 4000, inStateS: 1 }]),
    ['longTransaction warning'],
  ],
  ['a role that was dropped', openTransactions([{ ...transaction, role: null, openS: 3600 }]), ['longTransaction warning']],
  ['a prepared one just now', preparedTransactions([{ gid: 'g', database: 'a', openS: 60 }]), []],
  ['a prepared one that was forgotten', preparedTransactions([{ gid: 'g', database: 'a', openS: 3600 }]), ['preparedTransaction warning']],
  ['few connections', connections({ connections: 77, limit: 97 }), []],
  ['many', connections({ connections: 78, limit: 97 }), ['connections warning']],
  ['nearly all', connections({ connections: 93, limit: 97 }), ['connections critical']],
  ['a slot that is read', slots([{ name: 's', active: true, retainedBytes: 9 * GIB }]), []],
  ['a slot that holds little', slots([{ name: 's', active: false, retainedBytes: GIB }]), []],
  ['a slot that holds much', slots([{ name: 's', active: false, retainedBytes: 5 * GIB }]), ['slotHoldsWal warning']],
  ['a cache that serves', cache({ wanted: 1e6, fromStorage: 4e4, seconds: 100 }), []],
  ['a cache of little use that hardly anybody asks', cache({ wanted: 1000, fromStorage: 900, seconds: 600 }), []],
  ['a cache that is too small', cache({ wanted: 1e6, fromStorage: 1e5, seconds: 100 }), ['cacheTooSmall hint']],
  ['nothing wanted', cache({ wanted: 0, fromStorage: 0, seconds: 600 }), []],
  ['few dead rows', deadRows('a', [{ ...table, dead: 99_999 }]), []],
  ['many, of many more', deadRows('a', [{ ...table, live: 9e6, dead: 2e5 }]), []],
  ['many', deadRows('a', [{ ...table, dead: 1e5 }]), ['deadRows warning']],
  ['a table that was counted', neverAnalyzed('a', [table]), []],
  ['a small one that was not', neverAnalyzed('a', [{ ...table, countedRows: -1, bytes: 8192 }]), []],
  ['a large one that was not', neverAnalyzed('a', [{ ...table, countedRows: -1 }]), ['neverAnalyzed hint']],
  ['a table with room for some more rows', bloat('a', [{ name: 't', bytes: 1e9, neededBytes: 5.1e8 }]), []],
  ['a small one that is half empty', bloat('a', [{ name: 't', bytes: 6e7, neededBytes: 3e7 }]), []],
  ['a large one that is half empty', bloat('a', [{ name: 't', bytes: 1e9, neededBytes: 4.9e8 }]), ['bloat hint']],
  ['an index that was watched for too short', unusedIndexes('a', [{ ...unused, watchedS: 6 * DAY_S }]), []],
  ['a small index', unusedIndexes('a', [{ ...unused, bytes: 8192 }]), []],
  ['an unused index', unusedIndexes('a', [unused]), ['unusedIndex hint']],
  ['two alike', duplicateIndexes('a', [{ name: 'i', same: 'j', table: 't', bytes: 0 }]), ['duplicateIndex hint']],
  ['an unfinished one', invalidIndexes('a', [{ name: 'i', table: 't' }]), ['invalidIndex warning']],
  ['a sequence with room', sequences('a', [{ ...sequence, lastValue: 1.7e9 }]), []],
  ['one near its end', sequences('a', [{ ...sequence, lastValue: 1.8e9 }]), ['sequenceEnds warning']],
  ['one at its end', sequences('a', [{ ...sequence, lastValue: 2_147_483_647 }]), ['sequenceEnds critical']],
])('%s', (_what, found, expected) => {
  expect(brief(found)).toEqual(expected);
  for (const { what, remedy, query, numbers } of found) {
    expect(what).toMatch(/\w/);
    expect(remedy).toMatch(/\w/);
    expect(query).toMatch(/^(select|with) /);
    expect(Object.values(numbers).every(Number.isFinite)).toBe(true);
  }
});

const finding = (id: Finding['id'], severity: Finding['severity'], subject: string): Finding => ({
  id,
  severity,
  subject,
  what: '',
  numbers: {},
  query: '',
  remedy: '',
});

test('no more comes from storage than was wanted, although one is known later than the other', () => {
  expect(cache({ wanted: 1e5, fromStorage: 1.1e5, seconds: 100 })[0]?.numbers['percent']).toBe(100);
});

test('the most urgent comes first, and what was found before keeps its time', () => {
  const first = adviceOf([finding('unusedIndex', 'hint', 'b'), finding('deadRows', 'warning', 'a')], [], 'T1');
  expect(first.map(({ id, since }) => [id, since])).toEqual([
    ['deadRows', 'T1'],
    ['unusedIndex', 'T1'],
  ]);
  const second = adviceOf(
    [finding('unusedIndex', 'hint', 'a'), finding('unusedIndex', 'hint', 'b'), finding('sequenceEnds', 'critical', 's')],
    first,
    'T2',
  );
  expect(second.map(({ id, subject, since }) => [id, subject, since])).toEqual([
    ['sequenceEnds', 's', 'T2'],
    ['unusedIndex', 'b', 'T1'],
    ['unusedIndex', 'a', 'T2'],
  ]);
  // What was mended and comes again is new.
  expect(adviceOf([finding('deadRows', 'warning', 'a')], second, 'T3')[0]?.since).toBe('T3');
  expect(new Set(ADVICE_IDS).size).toBe(ADVICE_IDS.length);
});
