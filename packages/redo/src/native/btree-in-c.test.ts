import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addItem, initPage, itemBytes, lineCount, PAGE_SIZE, pageSpecial } from '../page/index.ts';
import { madeRecord, packed } from '../test-record.ts';
import { pageRedo } from './addon.ts';

/** B-tree's records that make a page anew, against lists of tuples; and whatever damage does to one of them or its page, it is applied whole or refused. */

const applyTo = (page: Buffer, { raw }: WalRecord): boolean => pageRedo().apply(raw, 0x100_0028n, page, 1663, 5, 16384, 0, 7);

/** A key, and the heap tuples that have it: one, or several as a posting list. */
interface Entry {
  readonly key: number;
  readonly tids: readonly number[];
}

const TID_BYTES = 6;
const tidBytes = (tid: number): Buffer => packed([2, 0], [2, tid], [2, 1 + (tid % 100)]);

/** Its tuple, as _bt_form_posting makes it. */
function tupleOf({ key, tids }: Entry): Buffer {
  const keyBytes = 16;
  const [only = 0] = tids;
  if (tids.length === 1) return Buffer.concat([tidBytes(only), packed([2, keyBytes], [4, key], [4, 0])]);
  const size = (keyBytes + tids.length * TID_BYTES + 7) & ~7;
  const head = packed([2, 0], [2, keyBytes], [2, 0x2000 | tids.length], [2, size | 0x2000], [4, key], [4, 0]);
  const tuple = Buffer.concat([head, ...tids.map(tidBytes)], size);
  return tuple;
}

const HIGH_KEY = Buffer.concat([packed([2, 0], [2, 9], [2, 1]), packed([2, 8])]);

/** A leaf with `entries`, and a high key where it has a right sibling. */
function leafOf(entries: readonly Entry[], next: number): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initPage(page, 16);
  const at = pageSpecial(page);
  page.writeUInt32LE(3, at);
  page.writeUInt32LE(next, at + 4);
  page.writeUInt16LE(0x041, at + 12);
  page.writeUInt16LE(77, at + 14);
  for (const item of [...(next === 0 ? [] : [HIGH_KEY]), ...entries.map(tupleOf)]) addItem(page, item, lineCount(page) + 1, 'shuffle');
  return page;
}

const itemsOf = (page: Buffer): string[] => Array.from({ length: lineCount(page) }, (_, at) => itemBytes(page, at + 1).toString('hex'));
const shown = (items: readonly Buffer[]): string[] => items.map((item) => item.toString('hex'));
const opaqueOf = (page: Buffer): number[] => {
  const at = pageSpecial(page);
  return [
    page.readUInt32LE(at),
    page.readUInt32LE(at + 4),
    page.readUInt32LE(at + 8),
    page.readUInt16LE(at + 12),
    page.readUInt16LE(at + 14),
  ];
};

const entry = (tidsMax: number): fc.Arbitrary<Entry> =>
  fc.record({ key: fc.nat(9), tids: fc.uniqueArray(fc.nat(60_000), { minLength: 1, maxLength: tidsMax, comparator: 'SameValue' }) });
const entries = fc.array(entry(5), { minLength: 2, maxLength: 60 });
const rightSibling = fc.constantFrom(0, 12);
const info = { rmid: RMGR.BTREE, xid: 700 } as const;

describe('B-tree in C', () => {
  it('splits a leaf into what is left and right of a place, with the new tuple where it belongs', () => {
    fc.assert(
      fc.property(entries, rightSibling, fc.nat(), fc.nat(), entry(1), (all, next, at, cut, added) => {
        const first = next === 0 ? 1 : 2;
        const number = first + (at % (all.length + 1));
        const tuple = tupleOf(added);
        const whole = all.map(tupleOf).toSpliced(number - first, 0, tuple);
        const left = whole.slice(0, 1 + (cut % (whole.length - 1)));
        const right = [...(next === 0 ? [] : [HIGH_KEY]), ...whole.slice(left.length)];
        const isOnLeft = number - first < left.length;
        const firstRight = first + left.length - (isOnLeft ? 1 : 0);
        const record = madeRecord({
          ...info,
          info: isOnLeft ? OPCODE.BTREE.SPLIT_L : OPCODE.BTREE.SPLIT_R,
          mainData: packed([4, 0], [2, firstRight], [2, number], [2, 0], [2, 0]),
          blocks: [
            { id: 0, blockNumber: 7, data: Buffer.concat([...(isOnLeft ? [tuple] : []), HIGH_KEY]) },
            { id: 1, blockNumber: 20, data: Buffer.concat(right.toReversed()) },
            ...(next === 0 ? [] : [{ id: 2, blockNumber: next }]),
          ],
        });
        const page = leafOf(all, next);
        expect(applyTo(page, record)).toBe(true);
        expect(itemsOf(page)).toEqual(shown([HIGH_KEY, ...left]));
        // Of the left page: a leaf whose split is not complete.
        expect(opaqueOf(page)).toEqual([3, 20, 0, 0x081, 0]);
        const other = Buffer.alloc(PAGE_SIZE);
        expect(pageRedo().apply(record.raw, record.lsn, other, 1663, 5, 16384, 0, 20)).toBe(true);
        expect(itemsOf(other)).toEqual(shown(right));
        expect(opaqueOf(other)).toEqual([7, next, 0, 0x001, 0]);
        if (next === 0) return;
        const sibling = leafOf(all, 0);
        expect(pageRedo().apply(record.raw, record.lsn, sibling, 1663, 5, 16384, 0, next)).toBe(true);
        expect(opaqueOf(sibling)[0]).toBe(20);
      }),
      { numRuns: 60 },
    );
  });

  it('splits a leaf in the middle of a posting list', () => {
    const all = [
      { key: 1, tids: [5] },
      { key: 2, tids: [10, 20, 30, 40] },
      { key: 3, tids: [50] },
    ];
    const added = { key: 2, tids: [25] };
    // The list takes the new one in and its last one becomes the new tuple's.
    const list = { key: 2, tids: [10, 20, 25, 30] };
    for (const isOnLeft of [true, false]) {
      const record = madeRecord({
        ...info,
        info: isOnLeft ? OPCODE.BTREE.SPLIT_L : OPCODE.BTREE.SPLIT_R,
        mainData: packed([4, 0], [2, 3], [2, 3], [2, 2], [2, 0]),
        blocks: [
          { id: 0, blockNumber: 7, data: Buffer.concat([tupleOf(added), HIGH_KEY]) },
          { id: 1, blockNumber: 20, data: tupleOf({ key: 3, tids: [50] }) },
        ],
      });
      const page = leafOf(all, 0);
      expect(applyTo(page, record)).toBe(true);
      const left = [{ key: 1, tids: [5] }, list, ...(isOnLeft ? [{ key: 2, tids: [40] }] : [])];
      expect(itemsOf(page)).toEqual(shown([HIGH_KEY, ...left.map(tupleOf)]));
    }
  });

  it('makes a root, and merges equal keys into posting lists', () => {
    const root = Buffer.alloc(PAGE_SIZE);
    const down = [
      { key: 4, tids: [1] },
      { key: 5, tids: [2] },
    ].map(tupleOf);
    const newRoot = madeRecord({
      ...info,
      info: OPCODE.BTREE.NEWROOT,
      mainData: packed([4, 7], [4, 1]),
      blocks: [{ id: 0, blockNumber: 7, data: Buffer.concat(down.toReversed()) }],
    });
    expect(applyTo(root, newRoot)).toBe(true);
    expect([itemsOf(root), opaqueOf(root)]).toEqual([shown(down), [0, 0, 1, 0x002, 0]]);
    fc.assert(
      fc.property(
        fc.array(fc.array(entry(4), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 }),
        rightSibling,
        (groups, next) => {
          let number = next === 0 ? 1 : 2;
          const intervals: (readonly [2, number])[] = [];
          for (const group of groups) {
            if (group.length > 1) intervals.push([2, number], [2, group.length]);
            number += group.length;
          }
          const record = madeRecord({
            ...info,
            info: OPCODE.BTREE.DEDUP,
            mainData: packed([2, intervals.length / 2]),
            blocks: [{ id: 0, blockNumber: 7, data: packed(...intervals) }],
          });
          const page = leafOf(groups.flat(), next);
          expect(applyTo(page, record)).toBe(true);
          const merged = groups.map((group) => tupleOf({ key: group[0]?.key ?? 0, tids: group.flatMap(({ tids }) => tids) }));
          expect(itemsOf(page)).toEqual(shown([...(next === 0 ? [] : [HIGH_KEY]), ...merged]));
          // Without its garbage, with its cycle id.
          expect(opaqueOf(page)).toEqual([3, next, 0, 0x001, 77]);
        },
      ),
      { numRuns: 60 },
    );
  });

  /** Of each entry, from number `first` on, the places in its list that go; all of them: the entry. */
  function deletion(all: readonly Entry[], doomed: readonly (readonly number[])[], first: number, isVacuum: boolean): WalRecord {
    const gone: number[] = [];
    const shortened: number[] = [];
    const places: (readonly [2, number])[] = [];
    for (const [at, { tids }] of all.entries()) {
      const going = doomed[at] ?? [];
      if (going.length === tids.length) gone.push(first + at);
      else if (going.length > 0) {
        shortened.push(first + at);
        places.push([2, going.length], ...going.map((place) => [2, place] as const));
      }
    }
    const words = [...gone, ...shortened].map((number) => [2, number] as const);
    return madeRecord({
      ...info,
      info: isVacuum ? OPCODE.BTREE.VACUUM : OPCODE.BTREE.DELETE,
      mainData: packed(...(isVacuum ? [] : [[4, 9] as const]), [2, gone.length], [2, shortened.length]),
      blocks: [{ id: 0, blockNumber: 7, data: packed(...words, ...places) }],
    });
  }

  it('deletes tuples, and item pointers from posting lists', () => {
    fc.assert(
      fc.property(entries, rightSibling, fc.infiniteStream(fc.boolean()), fc.boolean(), (all, next, drop, isVacuum) => {
        const doomed = all.map(({ tids }) => tids.flatMap((_tid, at) => (drop.next().value === true ? [at] : [])));
        const page = leafOf(all, next);
        expect(applyTo(page, deletion(all, doomed, next === 0 ? 1 : 2, isVacuum))).toBe(true);
        const left = all
          .map(({ key, tids }, at) => ({ key, tids: tids.filter((_tid, place) => doomed[at]?.includes(place) !== true) }))
          .filter(({ tids }) => tids.length > 0);
        expect(itemsOf(page)).toEqual(shown([...(next === 0 ? [] : [HIGH_KEY]), ...left.map(tupleOf)]));
        expect(opaqueOf(page)).toEqual([3, next, 0, 0x001, isVacuum ? 0 : 77]);
      }),
      { numRuns: 60 },
    );
  });

  it('takes no record that does not fit its page, and leaves that as it was', () => {
    const all = Array.from({ length: 20 }, (_, at) => ({ key: at >> 1, tids: at % 3 === 0 ? [at * 9, at * 9 + 1, at * 9 + 5] : [at * 9] }));
    const made = (opcode: number, mainData: Buffer, ...data: Buffer[]): WalRecord =>
      madeRecord({ ...info, info: opcode, mainData, blocks: data.map((each, id) => ({ id, blockNumber: id === 0 ? 7 : 20, data: each })) });
    const [tuple, right] = [tupleOf({ key: 4, tids: [5] }), Buffer.concat(all.slice(10).map(tupleOf).toReversed())];
    const records = [
      made(OPCODE.BTREE.SPLIT_L, packed([4, 0], [2, 12], [2, 6], [2, 1], [2, 0]), Buffer.concat([tuple, HIGH_KEY]), right),
      made(OPCODE.BTREE.SPLIT_R, packed([4, 0], [2, 12], [2, 14], [2, 0], [2, 0]), HIGH_KEY, right),
      made(OPCODE.BTREE.NEWROOT, packed([4, 7], [4, 1]), right),
      made(OPCODE.BTREE.DEDUP, packed([2, 2]), packed([2, 3], [2, 4], [2, 9], [2, 2])),
      deletion(all, [[], [0], [0], [2], [0], [], [1, 2]], 2, true),
      deletion(all, [[], [], [], [0, 1]], 2, false),
    ];
    const sound = leafOf(all, 12);
    const outcomes = new Map<number, Set<string>>();
    const damage = fc.array(fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.boolean()), { minLength: 0, maxLength: 3 });
    // In what comes before their items, in those, or in the record, from its info on.
    fc.assert(
      fc.property(fc.nat(records.length - 1), damage, (which, changes) => {
        const page = Buffer.from(sound);
        const raw = Buffer.from(records[which]?.raw ?? expect.fail('no record'));
        for (const [at, value, isOfRecord] of changes) {
          if (isOfRecord) raw.writeUInt16LE(value % 3 === 0 ? value : value % 64, 24 + (at % (raw.length - 25)));
          else page.writeUInt16LE(value, 12 + 2 * (at % (value % 2 === 0 ? 60 : 4080)));
        }
        const before = Buffer.from(page);
        let outcome = 'left';
        try {
          if (pageRedo().apply(raw, 0x100_0028n, page, 1663, 5, 16384, 0, 7)) outcome = 'applied';
        } catch (error) {
          outcome = 'refused';
          expect((error as Error).message).toMatch(/\w+ \w+/);
        }
        if (outcome !== 'applied') expect(page.equals(before)).toBe(true);
        outcomes.set(which, (outcomes.get(which) ?? new Set()).add(outcome));
      }),
      { numRuns: 3000 },
    );
    for (const each of outcomes.values()) expect([...each]).toEqual(expect.arrayContaining(['applied', 'refused']));
    expect(outcomes.size).toBe(records.length);
  });
});
