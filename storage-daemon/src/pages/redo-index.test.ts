import { encodeKey, type PageKey } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { refReplaces, refSeq, RedoIndex } from './redo-index.ts';

const page = fc.record({ space: fc.constantFrom('aa', 'ab', 'b\u00ff'), block: fc.constantFrom(0, 1, 300, 2 ** 32 - 1) });
const touches = fc.array(fc.record({ page, replaces: fc.boolean() }), { maxLength: 60 });
type Touch = { readonly page: PageKey; readonly replaces: boolean };

function filled(all: readonly Touch[]): RedoIndex {
  const index = new RedoIndex();
  all.forEach(({ page: { space, block }, replaces }, seq) => index.add(space, block, replaces, seq));
  return index;
}

const isSame = (a: PageKey, b: PageKey): boolean => a.space === b.space && a.block === b.block;
const refsIn = (all: readonly Touch[], one: PageKey): number[] =>
  all.flatMap((touch, seq) => (isSame(touch.page, one) ? [seq * 2 + (touch.replaces ? 1 : 0)] : []));

it('has for each page the records that change it, in their order', () => {
  fc.assert(
    fc.property(touches, page, (all, one) => {
      const refs = filled(all).refsOf(one) ?? [];
      expect(refs).toEqual(refsIn(all, one));
      expect(refs.map((ref) => [refSeq(ref), refReplaces(ref)])).toEqual(
        all.flatMap((touch, seq) => (isSame(touch.page, one) ? [[seq, touch.replaces]] : [])),
      );
    }),
  );
});

it('takes many of a page together as one by one', () => {
  fc.assert(
    fc.property(touches, fc.array(fc.nat({ max: 60 }), { maxLength: 6 }), (all, cuts) => {
      const index = new RedoIndex();
      const places = [0, ...cuts.map((cut) => Math.min(cut, all.length)).toSorted((a, b) => a - b), all.length];
      for (const [nth, from] of places.slice(0, -1).entries()) {
        const some = all.slice(from, places[nth + 1]);
        for (const { page: one } of some.filter((touch, at) => some.findIndex((other) => isSame(other.page, touch.page)) === at)) {
          // Others' stand before and behind them.
          const refs = Uint32Array.from([77, ...refsIn(some, one), 88]);
          index.addMany(one.space, one.block, from, refs, 1, refs.length - 1);
        }
      }
      const expected = filled(all);
      expect([index.refs, index.pages, index.takeLongest()]).toEqual([expected.refs, expected.pages, expected.takeLongest()]);
      for (const { page: one } of all) expect(index.refsOf(one)).toEqual(refsIn(all, one));
    }),
  );
});

it('gives the pages with redo below a record in key order, of some spaces where that is asked', () => {
  fc.assert(
    fc.property(touches, fc.nat({ max: 60 }), fc.constantFrom('', 'a', 'ab', 'b\u00ff'), (all, seq, spaces) => {
      const keys = filled(all)
        .pagesBelow(seq, spaces)
        .map((one) => encodeKey(one));
      const expected = new Map(all.slice(0, seq).map((touch) => [encodeKey(touch.page).toString('latin1'), touch.page]));
      const chosen = [...expected.values()].filter(({ space }) => space.startsWith(spaces)).map((one) => encodeKey(one));
      expect(keys).toEqual(chosen.toSorted((a, b) => Buffer.compare(a, b)));
    }),
  );
});

it('forgets what was stored, and counts the rest', () => {
  fc.assert(
    fc.property(touches, fc.nat({ max: 60 }), page, (all, storedTo, one) => {
      const index = filled(all);
      index.trimPage(one, storedTo);
      const left = all.flatMap((touch, seq) => (seq >= storedTo || !isSame(touch.page, one) ? [{ touch, seq }] : []));
      expect(index.refs).toBe(left.length);
      expect(index.pages).toBe(new Set(left.map(({ touch }) => encodeKey(touch.page).toString('latin1'))).size);
      expect((index.refsOf(one) ?? []).map(refSeq)).toEqual(left.filter(({ touch }) => isSame(touch.page, one)).map(({ seq }) => seq));
      expect(index.countBelow(one, 30)).toBe(left.filter(({ touch, seq }) => seq < 30 && isSame(touch.page, one)).length);
    }),
  );
});
