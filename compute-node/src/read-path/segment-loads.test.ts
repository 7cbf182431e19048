import { describe, expect, it } from 'vitest';
import { readWeight, SegmentLoads } from './segment-loads.ts';

/** Segments in the order in which they would be asked: 0 and 1 are of our own zone. */
const order = (loads: SegmentLoads, nowMs = 0): number[] =>
  [0, 1, 2, 3].toSorted((a, b) => loads.expectedMs(a, a < 2, nowMs) - loads.expectedMs(b, b < 2, nowMs));

describe('of segments that hold the LSN', () => {
  it('our own zone is asked first, and of it the one with less to do', () => {
    const loads = new SegmentLoads(4);
    expect(order(loads)).toEqual([0, 1, 2, 3]);
    loads.began(0, readWeight(1));
    expect(order(loads).slice(0, 2)).toEqual([1, 0]);
    loads.began(1, readWeight(64));
    expect(order(loads)[0]).toBe(0);
    loads.ended(0, readWeight(1));
    loads.ended(1, readWeight(64));
    expect(order(loads)).toEqual([0, 1, 2, 3]);
  });

  it('another zone is asked when our own has much more to do', () => {
    const loads = new SegmentLoads(4);
    for (let reads = 0; reads < 3; reads++) for (const own of [0, 1]) loads.began(own, readWeight(64));
    expect(order(loads)[0]).toBeGreaterThan(1);
  });

  it('one that was slow is passed over, and tried again later', () => {
    const loads = new SegmentLoads(4);
    for (let read = 0; read < 50; read++) loads.observe(0, 1, 80, 0);
    expect(order(loads).at(-1)).toBe(0);
    loads.began(1, readWeight(1));
    expect(order(loads, 120_000)[0]).toBe(0);
  });

  it('one that failed is passed over for a while', () => {
    const loads = new SegmentLoads(4);
    loads.penalise(0, 0);
    expect(order(loads).at(-1)).toBe(0);
    loads.began(1, readWeight(1));
    expect(order(loads, 60_000)[0]).toBe(0);
  });
});

it('many pages may take longer before a second segment is asked', () => {
  const loads = new SegmentLoads(4);
  for (let read = 0; read < 200; read++) loads.observe(0, readWeight(64), 30, 0);
  expect(loads.nearlyAllWithinMs(readWeight(64))).toBeGreaterThan(loads.nearlyAllWithinMs(readWeight(1)) * 2);
});
