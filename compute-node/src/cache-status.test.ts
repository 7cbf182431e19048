import { expect, it } from 'vitest';
import { cacheStatus } from './cache-status.ts';
import type { CacheCounters } from './postgres/cache-file.ts';

const MIB = 1024 * 1024;
const none = { byTransactions: 0, undurable: 0, forGood: 0 };
const counters = (residentMib: number, over: Partial<CacheCounters> = {}): CacheCounters => ({
  limitBytes: 100 * MIB,
  residentBytes: residentMib * MIB,
  pagesReadHere: 0,
  pagesFetched: 0,
  pagesEvicted: 0,
  pagesNotKept: 0,
  heldBytes: none,
  punchErrno: 0,
  ...over,
});

it.each([
  ['before a start', undefined, undefined, /^undefined$/],
  ['inside its limit', counters(99), 'within', /^$/],
  ['just over it', counters(103, { heldBytes: { ...none, undurable: MIB } }), 'within', /^$/],
  ['over it, on its way back', counters(300), 'within', /^$/],
  [
    'over it for a transaction',
    counters(300, { heldBytes: { byTransactions: 250 * MIB, undurable: MIB, forGood: MIB } }),
    'held',
    /takes 300 MiB of a limit of 100 MiB: 250 MiB .*transactions that still run.*pg_stat_activity.*spec\.compute\.cacheSize/,
  ],
  ['over it for storage', counters(300, { heldBytes: { ...none, undurable: 200 * MIB } }), 'held', /200 MiB wait until storage/],
  ['over it for good', counters(300, { heldBytes: { ...none, forGood: 200 * MIB } }), 'held', /200 MiB are pages.*sequences/],
  ['on a file system without holes', counters(10, { punchErrno: 95 }), 'cannotFree', /errno 95.*ext4/],
] as const)('%s', (_, given, state, message) => {
  const status = cacheStatus(given);
  expect(status?.state).toBe(state);
  expect(String(status?.message)).toMatch(message);
});
