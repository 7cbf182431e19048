import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TailCache } from './tail-cache.ts';

describe('TailCache', () => {
  it('gives back what was pushed or nothing, keeps the newest, and stays in bounds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 400 }), cut: fc.nat(9) }), { minLength: 1, maxLength: 80 }),
        (steps) => {
          const cache = new TailCache(1000);
          const held: { position: number; batch: Buffer }[] = [];
          let position = 0;
          for (const { bytes, cut } of steps) {
            if (cut === 0 && held.length > 2) {
              const from = held.at(-2)?.position ?? 0;
              cache.forgetFrom(from);
              held.splice(-2);
              position = from;
            }
            const batch = Buffer.alloc(bytes, (position % 251) + 1);
            cache.push(position, batch);
            held.push({ position, batch });
            position += bytes + 8;
            expect(cache.bytes).toBeLessThanOrEqual(1000);
            expect(cache.get(held.at(-1)?.position ?? 0, bytes)).toEqual(batch);
            for (const one of held) {
              const got = cache.get(one.position, one.batch.length);
              if (got !== undefined) expect(got).toEqual(one.batch);
            }
          }
        },
      ),
    );
  });
});
