import { expect, test } from 'vitest';
import { DiskForecast } from './disk-forecast.ts';

const HOUR_MS = 3_600_000;
const GIB = 2 ** 30;

/** Looked at every ten minutes for so many hours. */
function forecast(hours: number, freeAt: (hour: number) => number): number | undefined {
  const disk = new DiskForecast();
  for (let hour = 0; hour <= hours; hour += 1 / 6) disk.note(hour * HOUR_MS, freeAt(hour));
  return disk.fullInSeconds;
}

test.each<[string, number, (hour: number) => number, number | undefined]>([
  ['one that fills by a gibibyte an hour', 10, (hour) => (100 - hour) * GIB, 90],
  ['one that was looked at for an hour', 1, (hour) => (100 - hour) * GIB, undefined],
  ['one that stands', 10, () => 50 * GIB, undefined],
  ['one that empties', 10, (hour) => (50 + hour) * GIB, undefined],
  ['one that was filled long ago, and stands since', 100, (hour) => (hour < 10 ? 100 - hour : 90) * GIB, undefined],
])('%s', (_what, hours, freeAt, fullInHours) => {
  const seconds = forecast(hours, freeAt);
  if (fullInHours === undefined) expect(seconds).toBeUndefined();
  else expect((seconds ?? 0) / 3600).toBeCloseTo(fullInHours, -0.5);
});

test('redo that comes and goes within half an hour is no growth', () => {
  expect(forecast(24, (hour) => (50 - (Math.round(hour * 6) % 3)) * GIB)).toBeUndefined();
});

test('what it is told for weeks it does not keep', () => {
  // It grew in the first week alone, and three days are remembered.
  expect(forecast(21 * 24, (hour) => 500 * GIB - Math.min(hour, 7 * 24) * GIB)).toBeUndefined();
});
