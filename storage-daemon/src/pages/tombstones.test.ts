import type { PageEffect, PageKey } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { covers, decodeTombstones, encodeTombstones, NO_LSN, Tombstones } from './tombstones.ts';

const space = fc.constantFrom('aax', 'aay', 'abx', 'bax', '\u00ff\u0000:');
const block = fc.nat({ max: 9 });
const page: fc.Arbitrary<PageKey> = fc.record({ space, block });
const dropped: fc.Arbitrary<Exclude<PageEffect, { kind: 'copy-spaces' }>> = fc.oneof(
  fc.record({ kind: fc.constant('drop-spaces' as const), spaces: fc.constantFrom('a', 'aa', 'aax', 'b', '\u00ff') }),
  fc.record({ kind: fc.constant('drop-blocks' as const), space, from: block, before: fc.constantFrom(5, 2 ** 32) }),
);
const many = fc.array(dropped, { maxLength: 20 }).map((effects) => effects.map((effect, at) => ({ lsn: BigInt(at * 10), effect })));

function filled(tombstones: readonly { lsn: bigint; effect: PageEffect }[]): Tombstones {
  const all = new Tombstones();
  for (const { lsn, effect } of tombstones) all.add(lsn, effect);
  return all;
}

describe('tombstones', () => {
  it('give the last one below an LSN that covers a page, as a search through all would', () => {
    fc.assert(
      fc.property(many, page, fc.bigInt({ min: 0n, max: 210n }), (tombstones, one, lsn) => {
        const last = tombstones.findLast((tombstone) => tombstone.lsn < lsn && covers(tombstone, one))?.lsn ?? NO_LSN;
        expect(filled(tombstones).lastTombstone(one, lsn)).toBe(last);
      }),
    );
  });

  it('below an LSN go, and no others', () => {
    fc.assert(
      fc.property(many, page, fc.bigInt({ min: 0n, max: 210n }), (tombstones, one, lsn) => {
        const all = filled(tombstones);
        expect(all.below(lsn)).toEqual(tombstones.filter((tombstone) => tombstone.lsn < lsn));
        all.dropTombstonesBelow(lsn);
        expect(all.below(1n << 64n)).toEqual(tombstones.filter((tombstone) => tombstone.lsn >= lsn));
        const rest = filled(tombstones.filter((tombstone) => tombstone.lsn >= lsn));
        expect(all.lastTombstone(one, 1n << 64n)).toBe(rest.lastTombstone(one, 1n << 64n));
      }),
    );
  });

  it('are the same after they were stored; what another release means by them is refused', () => {
    fc.assert(
      fc.property(many, (tombstones) => {
        expect(decodeTombstones(encodeTombstones(tombstones))).toEqual(tombstones);
      }),
    );
    const other = Buffer.from(JSON.stringify([{ lsn: 1, effect: { kind: 'drop', relation: {} } }]));
    expect(() => decodeTombstones(other)).toThrow("removals: 'drop' is not known here");
  });
});

describe('copies of spaces', () => {
  const tombstones = filled([
    { lsn: 10n, effect: { kind: 'copy-spaces', from: 'aa', to: 'zz' } },
    { lsn: 20n, effect: { kind: 'copy-spaces', from: 'bb', to: 'zz' } },
  ]);

  it('are found by what they made and by what they were made from', () => {
    const copied = { space: 'zzx', block: 3 };
    expect(tombstones.lastCopyInto(copied, 10n)).toBeUndefined();
    expect(tombstones.lastCopyInto(copied, 20n)?.from).toBe('aa');
    expect(tombstones.lastCopyInto(copied, 21n)?.from).toBe('bb');
    expect(tombstones.lastCopyInto({ space: 'zax', block: 3 }, 21n)).toBeUndefined();
    expect([tombstones.isCopySource({ space: 'aax', block: 0 }), tombstones.isCopySource(copied)]).toEqual([true, false]);
  });

  it('are forgotten once they are stored', () => {
    tombstones.dropCopiesBelow(20n);
    expect(tombstones.copies.map(({ lsn }) => lsn)).toEqual([20n]);
    expect(tombstones.isCopySource({ space: 'aax', block: 0 })).toBe(false);
  });
});
