import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fileBytesOf, ZERO_AHEAD_BYTES, zeroTo } from './log-pace.ts';

const phase = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

it('zeros go past the batch, by a stretch at most, up to where they went for the batches before it', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 30), phase, (end, at) => {
      const to = zeroTo(end, at);
      expect(to).toBeGreaterThan(end);
      expect(to - end).toBeLessThanOrEqual(ZERO_AHEAD_BYTES);
      expect(zeroTo(to - 1, at)).toBe(to);
    }),
  );
});

it('logs of other phases go on to zeros and to new files at other places', () => {
  const phases = [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6];
  expect(new Set(phases.map((at) => zeroTo(5_000_000, at))).size).toBe(6);
  expect(new Set(phases.map((at) => fileBytesOf(64 * 1024 * 1024, at))).size).toBe(6);
});

it('files are never longer than asked for, and not much shorter', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), phase, (bytes, at) => {
      expect(fileBytesOf(bytes, at)).toBeLessThanOrEqual(bytes);
      expect(fileBytesOf(bytes, at)).toBeGreaterThanOrEqual(bytes * 0.87);
    }),
  );
});
