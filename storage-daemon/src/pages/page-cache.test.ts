import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PageCache } from './page-cache.ts';

const PAGE_BYTES = 16;
const ENTRY_BYTES = PAGE_BYTES + 200;
const pageOf = (block: number) => ({ space: 'space', block });

it('has the pages that were put last or used last, as they were put, within its bound', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ does: fc.constant('put' as const), block: fc.nat({ max: 9 }), fill: fc.nat({ max: 255 }) }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('get' as const), block: fc.nat({ max: 9 }) }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('delete' as const), block: fc.nat({ max: 9 }) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('deletePast' as const), lsn: fc.nat({ max: 255 }) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('clear' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 6 }), (steps, limit) => {
      const cache = new PageCache(limit * ENTRY_BYTES, PAGE_BYTES);
      let model: { block: number; fill: number }[] = [];
      const without = (block: number) => model.filter((one) => one.block !== block);
      for (const one of steps) {
        if (one.does === 'put') {
          const bytes = Buffer.alloc(PAGE_BYTES, one.fill);
          cache.put(pageOf(one.block), BigInt(one.fill), bytes);
          // Whoever put it uses its memory again.
          bytes.fill(0xdd);
          model = [...without(one.block), { block: one.block, fill: one.fill }].slice(-limit);
        } else if (one.does === 'get') {
          const found = model.find(({ block }) => block === one.block);
          cache.get(pageOf(one.block));
          if (found !== undefined) model = [...without(one.block), found];
        } else if (one.does === 'delete') {
          cache.delete(pageOf(one.block));
          model = without(one.block);
        } else if (one.does === 'deletePast') {
          cache.deletePast(BigInt(one.lsn));
          model = model.filter(({ fill }) => fill <= one.lsn);
        } else {
          cache.clear();
          model = [];
        }
        expect(cache.bytes).toBe(model.length * ENTRY_BYTES);
        for (let block = 0; block < 10; block++) {
          const fill = model.find((each) => each.block === block)?.fill;
          const expected = fill === undefined ? undefined : { lsn: BigInt(fill), page: Buffer.alloc(PAGE_BYTES, fill) };
          expect(cache.peek(pageOf(block))).toEqual(expected);
        }
      }
    }),
  );
});
