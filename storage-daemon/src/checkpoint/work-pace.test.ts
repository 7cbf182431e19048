import { expect, it } from 'vitest';
import { WorkPace } from './work-pace.ts';

it('works a quarter of the time while little waits, all of it when too much does, and never rests for long', () => {
  let backlog = 0;
  const pace = new WorkPace(() => backlog);
  const rests: number[] = [];
  for (const waiting of [-1, 0, 1 / 3, 1, 7]) {
    backlog = waiting;
    rests.push(pace.restAfter(4));
  }
  expect(rests).toEqual([12, 12, expect.closeTo(4), 0, 0]);
  backlog = 0;
  expect(pace.restAfter(1000)).toBe(40);
  expect(pace.workedMs).toBe(1020);
});

it('steps aside for a writer that is busy, as long as no more waits than may', () => {
  let [backlog, isBusy] = [-0.5, true];
  const pace = new WorkPace(
    () => backlog,
    () => isBusy,
  );
  expect(pace.restAfter(4)).toBeCloseTo(76);
  expect(pace.restAfter(1000)).toBe(250);
  backlog = 1 / 3;
  expect(pace.restAfter(4)).toBeCloseTo(4);
  backlog = 0;
  isBusy = false;
  expect(pace.restAfter(4)).toBe(12);
});
