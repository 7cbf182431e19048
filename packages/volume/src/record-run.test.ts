import fc from 'fast-check';
import { expect, it } from 'vitest';
import { lsn } from '@kube-aurora/pg-format';
import { RecordRun } from './record-run.ts';
import { checkRedoBatch, recordsOf, sealRedoBatch } from './redo-batch.ts';

const PLACE = { pg: 3, epoch: 7n, backlink: 1000n, previousEpoch: 6n };

/** Records of all lengths, each somewhere in a buffer of its own or shared, at any alignment. */
const pieces = fc.array(
  fc.record({
    length: fc.oneof(fc.integer({ min: 24, max: 300 }), fc.integer({ min: 24, max: 20_000 })),
    offset: fc.nat(40),
    after: fc.nat(9),
    filler: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 1, maxLength: 30 },
);

it('records come out of its batches as they stood, wherever they stood, run after run', () => {
  const run = new RecordRun(128);
  fc.assert(
    fc.property(pieces, fc.integer({ min: 125, max: 2 ** 50 }), (list, start) => {
      let at = start * 8;
      const expected = list.map(({ length, offset, after, filler }) => {
        const bytes = Buffer.alloc(offset + length + after, 0xee);
        bytes.fill(filler, offset, offset + length);
        bytes.writeUInt32LE(length, offset);
        const from = at;
        at += (length + 7) & ~7;
        run.add(from, at, bytes, offset, length);
        return { lsn: BigInt(from), raw: Buffer.from(bytes.subarray(offset, offset + length)) };
      });
      const batch = sealRedoBatch(run, PLACE);
      expect(checkRedoBatch(batch)).toMatchObject({
        ...PLACE,
        totalBytes: run.byteLength,
        startLsn: BigInt(start * 8),
        endLsn: BigInt(at),
        recordCount: list.length,
      });
      expect([...recordsOf(batch)]).toEqual(expected);
      run.clear();
      expect(run.count).toBe(0);
    }),
  );
});

it('refuses what does not follow, an empty batch and one that begins before its backlink', () => {
  const run = new RecordRun();
  const record = Buffer.alloc(24, 1);
  expect(() => sealRedoBatch(run, PLACE)).toThrow(/at least one record/);
  run.add(992, 1016, record, 0, 24);
  expect(() => sealRedoBatch(run, PLACE)).toThrow(/before its backlink/);
  expect(() => run.add(1008, 1032, record, 0, 24)).toThrow(/0\/3F0 does not follow/);
  expect(run.endLsn).toBe(lsn(1016n));
});

it('gives back what a long record needed', () => {
  const run = new RecordRun();
  const long = Buffer.alloc(8 * 1024 * 1024);
  run.add(1000, 1000 + long.length, long, 0, long.length);
  expect(run.bytes.buffer.byteLength).toBeGreaterThan(long.length);
  run.clear();
  expect(run.bytes.buffer.byteLength).toBeLessThan(long.length);
});
