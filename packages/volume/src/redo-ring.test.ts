import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RedoRing } from './redo-ring.ts';

const CAPACITY = 1000;

describe('RedoRing', () => {
  it('keeps to its capacity, drops only what is durable, and finds every place it still has', () => {
    const steps = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 400 }), durable: fc.integer({ min: 0, max: 100 }) }), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(steps, (list) => {
        const ring = new RedoRing(1000n, CAPACITY);
        const pushed: { sequence: number; backlink: bigint; endLsn: bigint }[] = [];
        let durable = 1000n;
        for (const { bytes, durable: share } of list) {
          const target = 1000n + ((ring.endLsn - 1000n) * BigInt(share)) / 100n;
          if (target > durable) durable = target;
          if (!ring.hasRoom(bytes, durable)) {
            expect(ring.bytes + bytes).toBeGreaterThan(CAPACITY);
            // Only because what is left is not durable.
            expect(ring.sequenceAfter(ring.startLsn)).toBeDefined();
            expect(pushed.find((entry) => entry.backlink === ring.startLsn)?.endLsn ?? 0n).toBeGreaterThan(durable);
            continue;
          }
          const backlink = ring.endLsn;
          pushed.push({ sequence: ring.nextSequence, backlink, endLsn: backlink + 10n });
          ring.push({ backlink, endLsn: backlink + 10n, message: Buffer.alloc(bytes) });
          expect(ring.bytes).toBeLessThanOrEqual(CAPACITY);
        }
        for (const { sequence, backlink, endLsn } of pushed) {
          const kept = backlink >= ring.startLsn;
          expect(ring.sequenceAfter(backlink)).toBe(kept ? sequence : undefined);
          expect(ring.get(sequence)?.endLsn).toBe(kept ? endLsn : undefined);
          if (endLsn > durable) expect(kept).toBe(true);
        }
        expect(ring.sequenceAfter(ring.endLsn)).toBe(ring.nextSequence);
        expect(ring.get(ring.nextSequence)).toBeUndefined();
        expect(ring.sequenceAfter(ring.startLsn - 3n)).toBeUndefined();
      }),
    );
  });

  it('stays exact over thousands of batches', () => {
    const ring = new RedoRing(0n, 100);
    for (let count = 0; count < 5000; count++) {
      expect(ring.hasRoom(30, ring.endLsn)).toBe(true);
      ring.push({ backlink: ring.endLsn, endLsn: ring.endLsn + 1n, message: Buffer.alloc(30) });
    }
    expect(ring.length).toBe(3);
    expect(ring.sequenceAfter(4998n)).toBe(4998);
    expect(ring.get(4997)?.endLsn).toBe(4998n);
  });

  it('takes a lone batch of any size, and refuses one that does not follow', () => {
    const ring = new RedoRing(5n, 10);
    expect(ring.hasRoom(1000, 5n)).toBe(true);
    ring.push({ backlink: 5n, endLsn: 6n, message: Buffer.alloc(1000) });
    expect(ring.hasRoom(1, 5n)).toBe(false);
    expect(ring.hasRoom(1, 6n)).toBe(true);
    expect(() => ring.push({ backlink: 5n, endLsn: 9n, message: Buffer.alloc(1) })).toThrow(RangeError);
  });
});
