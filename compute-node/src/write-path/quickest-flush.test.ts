import { expect, it } from 'vitest';
import { QuickestFlush } from './quickest-flush.ts';

function noted(times: readonly (readonly [tookMs: number, nowMs: number])[]): QuickestFlush {
  const quickest = new QuickestFlush();
  for (const [tookMs, nowMs] of times) quickest.note(tookMs, nowMs);
  return quickest;
}
const every = (tookMs: number, fromMs: number, toMs: number): (readonly [number, number])[] =>
  Array.from({ length: 20 }, (_, at) => [tookMs + at, fromMs + ((toMs - fromMs) * at) / 20] as const);

it('is the quickest of the last seconds, and nothing while there were few', () => {
  expect(noted([]).quickestMs(0)).toBeUndefined();
  expect(noted([[5, 0]]).quickestMs(10)).toBeUndefined();
  expect(noted(every(5, 0, 1000)).quickestMs(1000)).toBe(5);
});

it('forgets what is long ago, bit by bit and at once', () => {
  expect(noted([...every(1, 0, 1000), ...every(9, 3500, 4000)]).quickestMs(4000)).toBe(1);
  expect(noted([...every(1, 0, 1000), ...every(9, 3500, 4000), ...every(8, 6600, 7000)]).quickestMs(7000)).toBe(8);
  expect(noted(every(1, 0, 1000)).quickestMs(60_000)).toBeUndefined();
});
