import { expect, it } from 'vitest';
import { LendPace } from './lend-pace.ts';

function after(...ms: readonly number[]): boolean {
  const pace = new LendPace();
  for (const each of ms) pace.note(each);
  return pace.isQuick;
}
const times = (count: number, ms: number): number[] => Array.from({ length: count }, () => ms);

it.each([
  ['nothing is known', [], false],
  ['a few syncs are known', times(15, 1), false],
  ['they are quick', times(16, 1), true],
  ['a machine that is short of cores makes most of them slow', [...times(5, 10), ...times(11, 90)], true],
  ['they are slow', times(16, 60), false],
  ['they have become slow', [...times(16, 1), ...times(16, 60)], false],
  ['they are quick again', [...times(16, 60), ...times(16, 1)], true],
  ['one hangs', [...times(16, 1), 600], false],
  ['one has hung, and for a while none did', [...times(16, 1), 600, ...times(16, 1)], true],
])('where %s: %s', (_what, syncs, isQuick) => {
  expect(after(...syncs)).toBe(isQuick);
});
