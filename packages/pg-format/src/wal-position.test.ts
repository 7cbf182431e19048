import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lsn, parseLsn } from './lsn.ts';
import { recordStarts } from './wal-arbitraries.ts';
import { WAL_SEGMENT_BYTES } from './wal-layout.ts';
import {
  fromBytePosition,
  parseWalSegmentFileName,
  recordEndLsn,
  recordStart,
  toBytePosition,
  walSegmentFileName,
} from './wal-position.ts';

const SEGMENT = BigInt(WAL_SEGMENT_BYTES);

describe('recordEndLsn', () => {
  test.each([
    // A record that ends with its page ends there, not past the next header.
    ['0/1001FE0', 32, false, '0/1002000'],
    ['0/1001FE0', 33, false, '0/1002020'],
    // Header over the page boundary.
    ['0/1001FF8', 24, false, '0/1002028'],
    // Into the next segment, whose first header is long.
    ['0/1FFFFF8', 24, false, '0/2000038'],
    // PostgreSQL's first checkpoint.
    ['0/1000028', 114, false, '0/10000A0'],
    ['0/1000028', 24, true, '0/2000000'],
    ['0/1FFFFE8', 24, true, '0/2000000'],
    ['0/1FFFFF8', 24, true, '0/3000000'],
  ])('%s + %i bytes (switch %s) ends at %s', (start, length, isSwitch, end) => {
    expect(recordEndLsn(parseLsn(start), length, isSwitch)).toBe(parseLsn(end));
  });

  test('agrees with the count of usable bytes', () => {
    fc.assert(
      fc.property(recordStarts, fc.integer({ min: 24, max: 40_000_000 }), (start, length) => {
        const end = recordEndLsn(start, length, false);
        expect(end).toBe(fromBytePosition(toBytePosition(start) + BigInt((length + 7) & ~7), 'end'));
        expect(recordStart(end)).toBe(fromBytePosition(toBytePosition(end), 'start'));
      }),
    );
  });
});

test('byte positions come back as the positions they were made of', () => {
  fc.assert(
    fc.property(recordStarts, (start) => {
      expect(fromBytePosition(toBytePosition(start), 'start')).toBe(start);
    }),
  );
});

test.each([
  [1, '0/1000000', '000000010000000000000001'],
  [1, '0/1FFFFFF', '000000010000000000000001'],
  [10, '1A/FF000028', '0000000A0000001A000000FF'],
])('segment file of timeline %i at %s is %s', (timeline, position, name) => {
  expect(walSegmentFileName(timeline, parseLsn(position))).toBe(name);
  expect(parseWalSegmentFileName(name)).toEqual({ timeline, lsn: lsn((parseLsn(position) / SEGMENT) * SEGMENT) });
});

test.each(['00000002.history', 'archive_status', '000000010000000000000001.partial'])('%s is no segment file', (name) => {
  expect(parseWalSegmentFileName(name)).toBeUndefined();
});
