import fc from 'fast-check';
import { buildRecord } from './build-record.ts';
import { lsn, type Lsn } from './lsn.ts';
import { OPCODE, RMGR } from './rmgr.ts';
import { WAL_PAGE_BYTES, WAL_SEGMENT_BYTES } from './wal-layout.ts';
import { recordEndLsn, recordStart } from './wal-position.ts';

/** Generators for property tests of WAL. */

/**
 * Starts of records, below 2^53: 8-aligned, past the page's header, with the neighbourhood of boundaries well
 * represented.
 */
export const recordStarts = fc
  .tuple(
    fc.bigInt({ min: 1n, max: 0x1fff_ff00n }),
    fc.constantFrom(0, 1, 2, 1000, 2046, 2047),
    fc.oneof(
      fc.constantFrom(8184, 8176, 8168, 40, 48),
      fc.integer({ min: 5, max: 1023 }).map((word) => word * 8),
    ),
  )
  .map(([segment, page, offset]) => lsn(segment * BigInt(WAL_SEGMENT_BYTES) + BigInt(page * WAL_PAGE_BYTES + offset)));

/** A record with the place where it must come to stand. */
export interface PlacedRecord {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
  readonly raw: Buffer;
}

export interface Log {
  readonly startLsn: Lsn;
  readonly prev: Lsn;
  readonly records: readonly PlacedRecord[];
}

const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: 7000, max: 9000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 9000, max: 60_000 }) },
);

/** A stretch of log: records of all lengths, chained by xl_prev, starting anywhere that one may start. */
export function logs(options: { withSwitch: boolean }): fc.Arbitrary<Log> {
  const kinds = fc.oneof(
    { weight: 30, arbitrary: lengths },
    { weight: options.withSwitch ? 1 : 0, arbitrary: fc.constant('switch' as const) },
  );
  return fc
    .tuple(recordStarts, fc.boolean(), fc.array(kinds, { minLength: 1, maxLength: 25 }), fc.integer({ min: 1, max: 255 }))
    .map(([start, atPageStart, sizes, filler]) => {
      const startLsn = atPageStart ? lsn(start - (start % BigInt(WAL_PAGE_BYTES))) : start;
      let end = startLsn;
      const first = lsn(startLsn - 8n);
      let prev = first;
      const records = sizes.map((size, index): PlacedRecord => {
        const isSwitch = size === 'switch';
        const raw = buildRecord({
          rmid: RMGR.XLOG,
          info: isSwitch ? OPCODE.XLOG.SWITCH : OPCODE.XLOG.NOOP,
          xid: index,
          prev,
          mainData: Buffer.alloc(isSwitch ? 0 : size, filler + index),
        });
        const place = recordStart(end);
        end = recordEndLsn(place, raw.length, isSwitch);
        prev = place;
        return { lsn: place, endLsn: end, raw };
      });
      return { startLsn, prev: first, records };
    });
}
