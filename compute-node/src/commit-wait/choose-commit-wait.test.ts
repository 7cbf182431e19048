import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chooseCommitWait, type CommitWait } from './choose-commit-wait.ts';

const waits = fc.constantFrom<CommitWait[]>('flush', 'session');

it.each<[CommitWait, number | undefined, number, CommitWait]>([
  ['flush', undefined, 0, 'flush'],
  ['session', undefined, 0, 'session'],
  ['flush', 0.4, 0, 'flush'],
  ['flush', 1.9, 0, 'flush'],
  ['flush', 2.3, 0.1, 'session'],
  ['session', 10, 0, 'session'],
  ['session', 1.5, 0, 'session'],
  ['session', 0.9, 0, 'flush'],
  // It is the machine that is slow.
  ['flush', 10, 4.5, 'flush'],
  ['flush', 10, 3, 'session'],
  ['session', 10, 4.5, 'session'],
  ['session', 0.9, 4, 'flush'],
])('from %s, with the quickest flush of %s ms and %s ms without a core for each: %s', (present, quickestFlushMs, coreWaitMs, wanted) => {
  expect(chooseCommitWait(present, { quickestFlushMs, coreWaitMs })).toBe(wanted);
});

it('what was chosen is chosen again for the same figures: nothing swings', () => {
  const coreWait = fc.double({ min: 0, max: 20, noNaN: true });
  fc.assert(
    fc.property(waits, fc.double({ min: 0, max: 100, noNaN: true }), coreWait, (present, quickestFlushMs, coreWaitMs) => {
      const distance = { quickestFlushMs, coreWaitMs };
      const chosen = chooseCommitWait(present, distance);
      expect(chooseCommitWait(chosen, distance)).toBe(chosen);
    }),
  );
});
