import { maxLsn } from '@kube-aurora/pg-format/lsn';
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
          const held: { position: number; batch: Buffer; backlink: bigint; endLsn: bigint }[] = [];
          let position = 0;
          let lsn = 7n;
          for (const { bytes, cut } of steps) {
            if (cut === 0 && held.length > 2) {
              const from = held.at(-2)?.position ?? 0;
              cache.forgetFrom(from);
              lsn = held.at(-2)?.backlink ?? 0n;
              held.splice(-2);
              position = from;
            }
            const batch = Buffer.alloc(bytes, (position % 251) + 1);
            const endLsn = lsn + BigInt(1 + (bytes % 5));
            cache.push(position, batch, { backlink: lsn, endLsn });
            held.push({ position, batch, backlink: lsn, endLsn });
            lsn = endLsn;
            position += bytes + 8;
            expect(cache.bytes).toBeLessThanOrEqual(1000);
            expect(cache.view(held.at(-1)?.position ?? 0, bytes, bytes)).toEqual(batch);
            for (const one of held) {
              const got = cache.view(one.position, one.batch.length, one.batch.length);
              if (got !== undefined) expect(got).toEqual(one.batch);
              const to = lsn - BigInt(cut % 3);
              const run = cache.batchesFrom(one.backlink, to, 500);
              // Held the one way or not at all: the two look-ups go by the same batches.
              expect(run === undefined).toBe(got === undefined);
              if (run === undefined) continue;
              const whole = held.filter(({ backlink, endLsn: end }) => backlink >= one.backlink && end <= run.endLsn);
              expect(run.batches).toEqual(Buffer.concat(whole.map(({ batch: each }) => each)));
              expect(run.endLsn).toBe(whole.at(-1)?.endLsn ?? one.backlink);
              expect(run.endLsn).toBeLessThanOrEqual(maxLsn(to, one.backlink));
              if (one.endLsn <= to) expect(run.batches.length).toBeGreaterThan(0);
            }
          }
        },
      ),
    );
  });
});
