import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chooseCommitWait, type CommitWait } from './choose-commit-wait.ts';

const waits = fc.constantFrom<CommitWait[]>('flush', 'session');

it.each<[CommitWait, number | undefined, CommitWait]>([
  ['flush', undefined, 'flush'],
  ['session', undefined, 'session'],
  ['flush', 0.4, 'flush'],
  ['flush', 1.5, 'flush'],
  ['flush', 2.1, 'session'],
  ['session', 10, 'session'],
  ['session', 1.2, 'session'],
  ['session', 0.9, 'flush'],
])('from %s, with the quickest flush of %s ms: %s', (present, quickestFlushMs, wanted) => {
  expect(chooseCommitWait(present, quickestFlushMs)).toBe(wanted);
});

it('what was chosen is chosen again for the same figure: nothing swings', () => {
  fc.assert(
    fc.property(waits, fc.double({ min: 0, max: 100, noNaN: true }), (present, ms) => {
      const chosen = chooseCommitWait(present, ms);
      expect(chooseCommitWait(chosen, ms)).toBe(chosen);
    }),
  );
});
