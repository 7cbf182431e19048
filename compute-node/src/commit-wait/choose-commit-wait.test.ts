import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chooseCommitWait, type CommitWait } from './choose-commit-wait.ts';

const ms = (max: number): fc.Arbitrary<number> => fc.double({ min: 0, max, noNaN: true });

it.each<[CommitWait, number | undefined, number, number, CommitWait]>([
  ['flush', undefined, 0, 1, 'flush'],
  ['session', undefined, 0, 1, 'session'],
  ['flush', 0.4, 0, 1, 'flush'],
  ['flush', 1.9, 0, 1, 'flush'],
  ['flush', 2.3, 0.1, 1, 'session'],
  ['session', 10, 0, 4, 'session'],
  ['session', 1.5, 0, 1, 'session'],
  ['session', 0.9, 0, 1, 'flush'],
  // It is the machine that is slow.
  ['flush', 10, 4.5, 1, 'flush'],
  ['flush', 10, 3, 1, 'session'],
  ['session', 10, 4.5, 1, 'session'],
  ['session', 0.9, 4, 1, 'flush'],
  // One client has nobody to wait for.
  ['flush', 10, 0, 0.75, 'flush'],
  ['session', 10, 0, 0.75, 'flush'],
  ['flush', 10, 0, 0.85, 'flush'],
  ['session', 10, 0, 0.85, 'session'],
])(
  'from %s, with the quickest flush of %s ms, %s ms without a core for each, and %s of them at a time: %s',
  (present, quickestFlushMs, coreWaitMs, busyShare, wanted) => {
    expect(chooseCommitWait(present, { quickestFlushMs, coreWaitMs, busyShare })).toBe(wanted);
  },
);

it('what was chosen is chosen again for the same figures: nothing swings', () => {
  const distances = fc.record({ quickestFlushMs: ms(100), coreWaitMs: ms(20), busyShare: ms(3) });
  fc.assert(
    fc.property(fc.constantFrom<CommitWait[]>('flush', 'session'), distances, (present, distance) => {
      const chosen = chooseCommitWait(present, distance);
      expect(chooseCommitWait(chosen, distance)).toBe(chosen);
    }),
  );
});
