import { describe, expect, it } from 'vitest';
import { FRESH, nextStart } from './restarts.ts';

describe('a program that ends', () => {
  it('is started again later and later while it ends at once, then no more', () => {
    let history = FRESH;
    const delays: (number | undefined)[] = [];
    for (let run = 0; run < 6; run += 1) {
      const next = nextStart(history, 100);
      history = next.history;
      delays.push(next.againInMs);
    }
    expect(delays).toEqual([200, 400, 800, 1600, 3200, undefined]);
  });

  it('is started again soon after a healthy run, however often that was', () => {
    expect(nextStart({ shortRuns: 5 }, 10_000)).toEqual({ history: FRESH, againInMs: 200 });
  });
});
