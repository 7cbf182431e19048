import { expect, test } from 'vitest';
import { readAdvice } from './agent-advice.ts';

const FOUND = {
  id: 'deadRows',
  severity: 'warning',
  subject: 'app: t',
  what: 'many',
  since: '2026-01-01T00:00:00.000Z',
  remedy: 'VACUUM t',
  query: 'select 1',
  numbers: { dead: 1 },
};

test('findings are taken over, ten at most, numbers left out', () => {
  const { numbers: _, ...shown } = FOUND;
  expect(readAdvice({ lookedAt: 'x', findings: [FOUND] })).toEqual([shown]);
  expect(readAdvice({ lookedAt: 'x', findings: Array(50).fill(FOUND) })).toHaveLength(10);
  expect(readAdvice({ lookedAt: 'x', findings: [{ ...FOUND, subject: '' }] })?.[0]).not.toHaveProperty('subject');
  expect(readAdvice({ lookedAt: 'x', findings: [] })).toEqual([]);
});

test.each([undefined, 'nonsense', [], { findings: [] }, { lookedAt: 'x' }])('%j says nothing', (value) => {
  expect(readAdvice(value)).toBeUndefined();
});

test('a finding that is none is left out, and a long text is cut', () => {
  const bad = [null, {}, { ...FOUND, severity: 'panic' }, { ...FOUND, since: 'soon' }, { ...FOUND, what: 3 }];
  expect(readAdvice({ lookedAt: 'x', findings: bad })).toEqual([]);
  expect(readAdvice({ lookedAt: 'x', findings: [{ ...FOUND, what: 'w'.repeat(9999) }] })?.[0]?.what).toHaveLength(1000);
});
