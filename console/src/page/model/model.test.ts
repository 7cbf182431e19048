import { describe, expect, test } from 'vitest';
import type { HistoryAnswer } from '../../answers/answers.ts';
import { areaPath, linePath, runs, scales, stacked, ticks, timeTicks } from './geometry.ts';
import { extended, spanMs } from './hour.ts';
import { loadColours } from './load-colours.ts';
import { age, bytes, count, duration, moment, shortName } from './words.ts';

const STEP = 10_000;
const answer = (firstAt: number, series: HistoryAnswer['series']): HistoryAnswer => ({
  at: firstAt,
  stepMs: STEP,
  firstAt,
  length: Object.values(series)[0]?.length ?? 0,
  series,
});

describe('the hour that the page has', () => {
  test('grows by what is told, and what is told anew takes its place', () => {
    const first = extended(undefined, answer(0, { a: [1, 2, null] }));
    const next = extended(first, answer(20_000, { a: [3, 4], b: [null, 5] }));
    expect(next).toEqual({ stepMs: STEP, endAt: 30_000, length: 4, series: { a: [1, 2, 3, 4], b: [null, null, null, 5] } });
    expect(extended(next, answer(40_000, {}))).toBe(next);
  });

  test('is no longer than an hour, and what ended in it is let go of', () => {
    const old = extended(undefined, answer(0, { gone: [1] }));
    const now = extended(old, answer(400 * STEP, { a: [1] }));
    expect(now).toMatchObject({ length: 360, endAt: 400 * STEP });
    expect(Object.keys(now.series)).toEqual(['a']);
    expect([spanMs(old), spanMs(now)]).toEqual([300_000, 3_600_000]);
  });
});

describe('charts', () => {
  test.each([
    [0, 2, [0, 0.5, 1, 1.5, 2]],
    [9.7, 2, [0, 2.5, 5, 7.5, 10]],
    [1234, 10, [0, 500, 1000, 1500]],
  ])('a scale up to %d goes by round numbers', (highest, floor, expected) => expect(ticks(highest, floor)).toEqual(expected));

  test.each([0.003, 1, 17, 99.99, 100.01, 5e9])('it reaches what is highest, in few steps: %d', (highest) => {
    for (const base of [2, 10] as const) {
      const levels = ticks(highest, 0, base);
      expect(levels.at(-1)).toBeGreaterThanOrEqual(highest * 0.999999);
      expect(levels.length).toBeGreaterThan(2);
      expect(levels.length).toBeLessThan(7);
    }
  });

  test('bytes go by powers of two', () => expect(ticks(3 * 2 ** 20, 65_536, 2)).toEqual([0, 2 ** 20, 2 * 2 ** 20, 3 * 2 ** 20]));

  test('marks of time stand at full minutes', () => {
    const from = 3_599_000;
    expect(timeTicks(from, from + 3_600_000, 7)).toEqual([0, 1, 2, 3, 4, 5].map((index) => 3_600_000 + index * 600_000));
  });

  test('a line has a gap where nobody knows, and a step alone is seen', () => {
    const scale = scales({ width: 100, height: 100, left: 0, right: 0, top: 0, bottom: 0 }, 0, 40, 10);
    const found = runs([1, 2, null, 4], 0, 10);
    expect(found).toHaveLength(2);
    expect(linePath(found, scale)).toBe('M0 90L25 80M75 60h0.1');
    expect(areaPath(found.slice(0, 1), () => 0, scale)).toBe('M0 90L25 80L25 100L0 100Z');
  });

  test('layers lie on one another; where one alone is known the others are nought, where none is the picture ends', () => {
    expect(
      stacked(
        [
          [1, null, 2],
          [1, null, null],
        ],
        3,
      ),
    ).toEqual([
      [1, null, 2],
      [2, null, 2],
    ]);
  });

  test('waits that are known have their colours always, and two have one only when there are more than colours', () => {
    const colours = loadColours(['CPU', 'IO:WalSync', 'IO:DataFileRead', 'Lock:tuple', 'LWLock:WALWrite', 'Client:ClientRead', 'Other']);
    expect([colours.get('CPU'), colours.get('IO:WalSync'), colours.get('Other')]).toEqual([2, 0, 7]);
    expect(new Set(colours.values()).size).toBe(7);
    expect(loadColours(['Lock:tuple', 'CPU']).get('Lock:tuple')).toBe(colours.get('Lock:tuple'));
  });
});

test('numbers have units, and what nobody knows is no number', () => {
  expect([count(0), count(3.14159), count(42.5), count(1234), count(98_765), count(2.5e6), count(null)]).toEqual([
    '0',
    '3.14',
    '42.5',
    '1234',
    '98.8 k',
    '2.5 M',
    '–',
  ]);
  expect([duration(0.04), duration(1.26), duration(12.6), duration(2400), duration(null)]).toEqual([
    '< 0.1 ms',
    '1.3 ms',
    '13 ms',
    '2.4 s',
    '–',
  ]);
  expect([bytes(0), bytes(2048), bytes(null)]).toEqual(['0 B', '2.0 KiB', '–']);
  const now = Date.parse('2026-11-21T12:00:00Z');
  expect([
    age('2026-11-21T11:59:48Z', now),
    age(null, now),
    moment('2026-11-21T09:00:00Z', now),
    moment('2026-11-19T09:00:00Z', now),
  ]).toEqual(['12s', '–', '09:00:00', '2026-11-19 09:00']);
  expect([shortName('demo-storage-3', 'demo'), shortName('demo-1', 'demo')]).toEqual(['storage-3', 'demo-1']);
});
