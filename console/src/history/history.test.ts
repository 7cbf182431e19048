import { parseMetrics } from '@kube-aurora/cluster-view';
import { describe, expect, test } from 'vitest';
import { OTHER_LOAD } from '../answers/answers.ts';
import { instanceFigures, topLoad } from './figures.ts';
import { HistoryRing, STEP_MS, STEPS } from './ring.ts';

const at = (step: number): number => 1_000_000 * STEP_MS + step * STEP_MS;
const one = (value: number): ReadonlyMap<string, number> => new Map([['load', value]]);

describe('the last hour', () => {
  test('is told from any moment on, oldest first; a step that was passed over is not known, which is not nought', () => {
    const ring = new HistoryRing();
    ring.record(at(0), one(1));
    ring.record(at(1) + 9_999, one(0));
    ring.record(at(3), one(4));
    expect(ring.after(0)).toEqual({ firstAt: at(0), length: 4, series: { load: [1, 0, null, 4] } });
    expect(ring.after(at(1))).toEqual({ firstAt: at(2), length: 2, series: { load: [null, 4] } });
    expect(ring.after(at(3))).toEqual({ firstAt: at(4), length: 0, series: {} });
  });

  test('forgets what is older, keeps no more than it may, and lets go of series that ended', () => {
    const ring = new HistoryRing();
    ring.record(at(0), one(7));
    ring.record(at(STEPS), new Map([['other', 1]]));
    expect(ring.names).toEqual(['other']);
    expect(ring.after(0)).toEqual({ firstAt: at(1), length: STEPS, series: { other: [...Array<null>(STEPS - 1).fill(null), 1] } });
    for (let index = 0; index < 500; index++) ring.record(at(STEPS), new Map([[`series ${index}`, index]]));
    expect(ring.names).toHaveLength(100);
    expect(ring.bytes).toBe(100 * STEPS * 4);
  });

  test('a clock that went back changes nothing that is newer', () => {
    const ring = new HistoryRing();
    ring.record(at(5), one(1));
    ring.record(at(4), one(9));
    expect(ring.after(at(3))).toEqual({ firstAt: at(5), length: 1, series: { load: [1] } });
  });
});

const look = (text: string) => parseMetrics(text);
const BEFORE = look(`
aurora_flush_seconds_bucket{le="0.001"} 100
aurora_flush_seconds_bucket{le="0.002"} 100
aurora_flush_seconds_bucket{le="+Inf"} 100
aurora_transactions_total{outcome="committed"} 500
aurora_load_session_seconds_total{type="CPU",event="CPU"} 10
aurora_vdl_bytes 1000
`);
const AFTER = look(`
aurora_flush_seconds_bucket{le="0.001"} 150
aurora_flush_seconds_bucket{le="0.002"} 199
aurora_flush_seconds_bucket{le="+Inf"} 200
aurora_transactions_total{outcome="committed"} 700
aurora_transactions_total{outcome="rolledBack"} 9
aurora_load_session_seconds_total{type="CPU",event="CPU"} 25
aurora_load_session_seconds_total{type="IO",event="WalSync"} 5
aurora_vdl_bytes 21000
aurora_segment_scl_bytes{segment="demo-storage-0"} 21000
aurora_segment_scl_bytes{segment="demo-storage-1"} 19000
aurora_segment_scl_bytes{segment="demo-storage-2"} 0
`);

describe('what an instance did', () => {
  test('between two looks', () => {
    const figures = instanceFigures({ before: BEFORE, after: AFTER, seconds: 10 });
    expect(figures).toMatchObject({ commitP50Ms: 1, commitP99Ms: 2, transactionsPerSecond: 20, redoBytesPerSecond: 2000, vdl: 21_000 });
    expect(figures.load).toEqual([
      ['CPU', 1.5],
      ['IO:WalSync', 0.5],
    ]);
    // A segment that it has not heard of since it began is not a volume behind.
    expect([...figures.segmentLag]).toEqual([
      ['demo-storage-0', 0],
      ['demo-storage-1', 2000],
    ]);
  });

  test.each([
    ['the first look', { before: undefined, after: AFTER, seconds: 0 }],
    ['a program that began anew', { before: AFTER, after: BEFORE, seconds: 10 }],
  ])('%s says nothing of a rate', (_what, looks) => {
    expect(instanceFigures(looks)).toMatchObject({
      commitP50Ms: undefined,
      transactionsPerSecond: undefined,
      redoBytesPerSecond: undefined,
      load: undefined,
    });
  });

  test('wait events that have a series keep it; past the most that may have one they are one', () => {
    expect(
      topLoad(
        [
          ['CPU', 3],
          ['IO:A', 2],
          ['IO:B', 1],
          ['IO:C', 0.5],
        ],
        new Set(['IO:C', 'IO:D']),
        3,
      ),
    ).toEqual(
      new Map([
        ['CPU', 3],
        [OTHER_LOAD, 3],
        ['IO:C', 0.5],
        ['IO:D', 0],
      ]),
    );
  });
});
