import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PAGE_BYTES, PAGE_HEADER_BYTES } from '@kube-aurora/pg-format';
import { PagePieces } from './page-pieces.ts';

it('gives every page, and its header, wherever the pieces end', () => {
  const whole = Buffer.alloc(6 * PAGE_BYTES, 'kube-aurora');
  fc.assert(
    fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), fc.nat(5), fc.nat(5), (ends, one, other) => {
      const cuts = [0, ...ends.toSorted((a, b) => a - b), whole.length];
      const pieces = new PagePieces(cuts.slice(1).map((end, at) => whole.subarray(cuts[at], end)));
      const [from, last] = [Math.min(one, other), Math.max(one, other)];
      expect(pieces.byteLength).toBe(whole.length);
      expect(Buffer.concat(pieces.pages(from, last - from + 1))).toEqual(whole.subarray(from * PAGE_BYTES, (last + 1) * PAGE_BYTES));
      expect(pieces.header(from)).toEqual(whole.subarray(from * PAGE_BYTES, from * PAGE_BYTES + PAGE_HEADER_BYTES));
    }),
  );
});

it('copies no page', () => {
  const [one, two] = [Buffer.alloc(PAGE_BYTES + 100, 1), Buffer.alloc(PAGE_BYTES - 100, 2)];
  const [first, second] = new PagePieces([one, two]).pages(1, 1);
  expect([first?.buffer, second?.buffer]).toEqual([one.buffer, two.buffer]);
  one.fill(7);
  expect(first?.[0]).toBe(7);
});
