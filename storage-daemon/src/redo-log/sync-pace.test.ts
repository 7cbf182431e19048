import { expect, it } from 'vitest';
import { SyncPace, type SyncPlace } from './sync-pace.ts';

/** Syncs wherever the pace says; `wallMs` is what a clock shows of each, `diskMs` what the disk took. */
function sync(pace: SyncPace, count: number, wallMs: number, diskMs = wallMs): Record<SyncPlace, number> {
  const counts = { pool: 0, here: 0, timed: 0 };
  for (let at = 0; at < count; at++) {
    const place = pace.placeFor(100);
    counts[place]++;
    pace.note(place, place === 'timed' ? diskMs : wallMs);
  }
  return counts;
}

function quickDisk(): SyncPace {
  const pace = new SyncPace();
  sync(pace, 32, 0.1);
  return pace;
}

it('waits on the thread only for a disk that has been quick for a while', () => {
  expect(new SyncPace().placeFor(100)).toBe('pool');
  const pace = quickDisk();
  expect(pace.placeFor(100)).toBe('here');
  expect(pace.placeFor(1024 * 1024)).toBe('pool');
});

it('goes to the pool when the disk turns slow or hangs, after a second look; comes back when it is quick', () => {
  const slow = quickDisk();
  expect(sync(slow, 200, 2)).toEqual({ here: 16, timed: 4, pool: 180 });
  sync(slow, 16, 0.1);
  expect(slow.placeFor(100)).toBe('here');
  expect(sync(quickDisk(), 20, 80)).toEqual({ here: 1, timed: 1, pool: 18 });
});

it('stops the loop for a slow disk now and then at most', () => {
  const { here, timed, pool } = sync(new SyncPace(), 10_000, 3);
  expect(here).toBe(0);
  expect(timed / pool).toBeLessThan(0.02);
});

it('stays on the thread where the disk is quick and the machine has no core to spare', () => {
  expect(sync(quickDisk(), 10_000, 40, 0.4).pool).toBe(0);
  // From the start, and after stalls that are none of the disk's.
  expect(sync(new SyncPace(), 10_000, 40, 0.4).pool).toBe(16);
  expect(sync(quickDisk(), 10_000, 120, 0.4).pool).toBe(0);
});

it('takes a few slow syncs among quick ones for a busy machine', () => {
  const pace = quickDisk();
  for (let at = 0; at < 16; at++) pace.note('here', at % 2 === 0 ? 0.3 : 4);
  expect(pace.placeFor(100)).toBe('here');
});

it('does not take what is large, and so goes through the pool, for a slow disk', () => {
  const pace = quickDisk();
  for (let at = 0; at < 100; at++) pace.note('pool', 80);
  expect(pace.placeFor(100)).toBe('here');
});
