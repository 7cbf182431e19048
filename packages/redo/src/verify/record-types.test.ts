import { expect, test } from 'vitest';
import { addCoverage, formatAllTypes, MANAGERS_WITH_OWN_TEST, NOT_WRITTEN, recordTypes, unseenTypes } from './record-types.ts';
import type { Coverage } from './redo-verifier.ts';

const once: Coverage = { records: 1, pages: 2, compared: 1, mismatches: 0 };

test('a type is seen, or answered for by another test, or written by no server, or missed', () => {
  const names = recordTypes();
  expect(names).toEqual(expect.arrayContaining(['Heap/INSERT', 'XLOG/NOOP', 'Generic/Generic']));
  expect(names.filter((name) => NOT_WRITTEN.has(name))).toEqual([...NOT_WRITTEN.keys()]);
  const elsewhere = recordTypes(MANAGERS_WITH_OWN_TEST);
  const rest = names.filter((name) => !elsewhere.includes(name) && !NOT_WRITTEN.has(name));
  expect(unseenTypes(new Map())).toEqual(rest);
  const coverage = new Map(rest.map((name) => [name, once]));
  expect(unseenTypes(coverage)).toEqual([]);
  coverage.delete('CLOG/TRUNCATE');
  expect(unseenTypes(coverage)).toEqual(['CLOG/TRUNCATE']);
  expect(formatAllTypes(coverage)).toMatch(/CLOG\/TRUNCATE +NOT SEEN/);
  expect(formatAllTypes(coverage)).toMatch(/XLOG\/NOOP +not written by any server/);
});

test('coverage of several logs adds up', () => {
  const sum = new Map<string, Coverage>();
  addCoverage(sum, new Map([['Heap/LOCK', once]]));
  addCoverage(sum, new Map([['Heap/LOCK', once]]));
  expect([...sum]).toEqual([['Heap/LOCK', { records: 2, pages: 4, compared: 2, mismatches: 0 }]]);
  expect(once.records).toBe(1);
});
