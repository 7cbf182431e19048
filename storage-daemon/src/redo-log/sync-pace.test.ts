import { expect, it } from 'vitest';
import { SyncPace } from './sync-pace.ts';

function times(count: number, pace: SyncPace, ms: number): void {
  for (let i = 0; i < count; i++) pace.note(ms);
}

it('waits on the thread only for a disk that has been quick for a while', () => {
  const pace = new SyncPace();
  expect(pace.isQuick(100)).toBe(false);
  times(64, pace, 0.1);
  expect(pace.isQuick(100)).toBe(true);
  expect(pace.isQuick(1024 * 1024)).toBe(false);
});

it('goes back to the pool after one very slow sync, or a few slow ones', () => {
  for (const [count, ms] of [
    [1, 50],
    [8, 3],
  ] as const) {
    const pace = new SyncPace();
    times(64, pace, 0.1);
    times(count, pace, ms);
    expect(pace.isQuick(100)).toBe(false);
    times(64, pace, 0.1);
    expect(pace.isQuick(100)).toBe(true);
  }
});
