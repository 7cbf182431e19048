import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lsn, type Lsn } from '@kube-aurora/pg-format';
import {
  RedoBatchError,
  batchesIn,
  checkRedoBatch,
  decodeRedoBatchHeader,
  encodeRedoBatch,
  recordsOf,
  type BatchRecord,
} from './redo-batch.ts';

/** Records with a true tot_len and random content: the batch looks no deeper. */
const records = fc
  .array(fc.uint8Array({ minLength: 24, maxLength: 200 }), { minLength: 1, maxLength: 8 })
  .chain((bodies) => fc.tuple(fc.constant(bodies), fc.bigInt({ min: 1000n, max: 2n ** 52n })))
  .map(([bodies, start]): BatchRecord[] => {
    let at = start;
    return bodies.map((body) => {
      const raw = Buffer.from(body);
      raw.writeUInt32LE(raw.length, 0);
      const from = lsn(at);
      at += BigInt((raw.length + 7) & ~7);
      return { lsn: from, endLsn: lsn(at), raw };
    });
  });

const parts = (list: BatchRecord[]) => ({ pg: 3, epoch: 7n, backlink: list[0]?.lsn ?? (0n as Lsn), previousEpoch: 6n, records: list });

describe('redo batch', () => {
  it('comes back as it went in', () => {
    fc.assert(
      fc.property(records, fc.nat(50), (list, offset) => {
        const batch = encodeRedoBatch(parts(list));
        const placed = Buffer.concat([Buffer.alloc(offset, 1), batch, Buffer.alloc(9, 2)]);
        const header = checkRedoBatch(placed, offset);
        expect(header).toMatchObject({
          pg: 3,
          epoch: 7n,
          previousEpoch: 6n,
          startLsn: list[0]?.lsn,
          endLsn: list.at(-1)?.endLsn,
          recordCount: list.length,
        });
        expect(header.totalBytes).toBe(batch.length);
        expect(header).toEqual(decodeRedoBatchHeader(batch));
        expect([...recordsOf(placed, offset)].map((record) => [record.lsn, record.raw.toString('hex')])).toEqual(
          list.map((record) => [record.lsn, record.raw.toString('hex')]),
        );
      }),
    );
  });

  it('refuses any flipped bit and any cut', () => {
    fc.assert(
      fc.property(records, fc.nat(), fc.integer({ min: 0, max: 7 }), fc.nat(), (list, where, bit, cut) => {
        const batch = encodeRedoBatch(parts(list));
        const flipped = Buffer.from(batch);
        const at = where % batch.length;
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        expect(() => checkRedoBatch(flipped)).toThrow(RedoBatchError);
        expect(() => checkRedoBatch(batch.subarray(0, cut % batch.length))).toThrow(RedoBatchError);
      }),
    );
  });

  it('stands among others: all of them come back, in order; one that is cut short is an error, or left out', () => {
    fc.assert(
      fc.property(fc.array(records, { minLength: 1, maxLength: 5 }), fc.nat(), (lists, cut) => {
        const batches = lists.map((list) => encodeRedoBatch(parts(list)));
        const bytes = Buffer.concat(batches);
        for (const ending of ['whole', 'cut-short'] as const)
          expect([...batchesIn(bytes, ending)].map(({ batch }) => batch.toString('hex'))).toEqual(
            batches.map((one) => one.toString('hex')),
          );
        const kept = bytes.subarray(0, cut % bytes.length);
        let whole = 0;
        for (let end = 0; whole < batches.length && (end += batches[whole]?.length ?? 0) <= kept.length;) whole++;
        expect([...batchesIn(kept, 'cut-short')]).toHaveLength(whole);
        const isBetween = kept.length === Buffer.concat(batches.slice(0, whole)).length;
        if (isBetween) expect([...batchesIn(kept)]).toHaveLength(whole);
        else expect(() => [...batchesIn(kept)]).toThrow(RedoBatchError);
      }),
    );
  });

  it('never takes arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => checkRedoBatch(Buffer.from(bytes))).toThrow(RedoBatchError);
      }),
    );
  });

  it('names the field', () => {
    const batch = encodeRedoBatch(parts([{ lsn: lsn(1000), endLsn: lsn(1024), raw: Buffer.from([24, ...Array<number>(23).fill(0)]) }]));
    batch.writeUInt8(9, 70);
    expect(() => checkRedoBatch(batch)).toThrow(/payloadCrc/);
    expect(() => encodeRedoBatch(parts([]))).toThrow(RangeError);
  });
});
