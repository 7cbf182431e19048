import { expect, it } from 'vitest';
import { SyncPace } from './sync-pace.ts';

function paceAfter(...runs: readonly (readonly [count: number, ms: number])[]): SyncPace {
  const pace = new SyncPace();
  for (const [count, ms] of runs) for (let i = 0; i < count; i++) pace.note(ms);
  return pace;
}

it('waits on the thread only for a disk that has been quick for a while', () => {
  expect(new SyncPace().isQuick(100)).toBe(false);
  const pace = paceAfter([32, 0.1]);
  expect(pace.isQuick(100)).toBe(true);
  expect(pace.isQuick(1024 * 1024)).toBe(false);
});

it('goes to the pool after one stall, and when the disk turns slow; comes back when it is quick', () => {
  expect(paceAfter([32, 0.1], [1, 80]).isQuick(100)).toBe(false);
  expect(paceAfter([32, 0.1], [16, 2]).isQuick(100)).toBe(false);
  expect(paceAfter([32, 0.1], [16, 2], [16, 0.1]).isQuick(100)).toBe(true);
});

it('takes a few slow syncs among quick ones for a busy machine', () => {
  const mixed = Array.from({ length: 16 }, (_, i): [number, number] => [1, i % 2 === 0 ? 0.3 : 4]);
  expect(paceAfter(...mixed).isQuick(100)).toBe(true);
});
