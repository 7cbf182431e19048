import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PAGE_SIZE, pageLower, writeItemPointer } from '../../page/index.ts';
import { GIN_COMPRESSED, GIN_DATA, GIN_DATA_AT, GIN_LEAF, ginFlags, initGinPage, maxOffset, setDataSize, setMaxOffset } from './layout.ts';
import { decodeSegment, encodeSegment, mergeItems, segmentSize } from './posting-list.ts';
import { recompressLeaf } from './recompress.ts';

/** Item pointers as numbers: 32 bits of block, 11 of offset, never offset 0. */
const item = fc.tuple(fc.nat(0xffff_fffe), fc.integer({ min: 1, max: 2047 })).map(([block, offset]) => block * 2048 + offset);
const items = fc.uniqueArray(item, { minLength: 1, maxLength: 40 }).map((list) => list.toSorted((a, b) => a - b));

test('posting lists come back as they went in', () => {
  fc.assert(
    fc.property(items, (list) => {
      const segment = encodeSegment(list);
      expect(segment.length % 2).toBe(0);
      expect(segmentSize(segment, 0)).toBe(segment.length);
      expect(decodeSegment(segment, 0)).toEqual(list);
    }),
  );
});

test('merging is the sorted union', () => {
  fc.assert(
    fc.property(items, items, (a, b) => {
      expect(mergeItems(a, b)).toEqual([...new Set([...a, ...b])].toSorted((x, y) => x - y));
    }),
  );
});

function leafOf(segments: readonly Buffer[]): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initGinPage(page, GIN_DATA | GIN_LEAF | GIN_COMPRESSED);
  const data = Buffer.concat(segments);
  setDataSize(page, data.length);
  page.set(data, GIN_DATA_AT);
  return page;
}

function segmentsOf(page: Buffer): number[][] {
  const segments: number[][] = [];
  for (let at = GIN_DATA_AT; at < pageLower(page); at += segmentSize(page, at)) segments.push(decodeSegment(page, at));
  return segments;
}

function pointers(list: readonly number[]): Buffer {
  const bytes = Buffer.alloc(list.length * 6);
  for (const [i, value] of list.entries()) writeItemPointer(bytes, i * 6, Math.floor(value / 2048), value % 2048);
  return bytes;
}

/** What a record does at each old segment, and what it inserts before it. */
const change = fc.record({
  insertBefore: fc.option(items, { nil: undefined }),
  kind: fc.constantFrom('keep', 'delete', 'replace', 'add'),
  list: items,
});

test('a leaf follows the actions of a record as a list of segments would', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(items, change), { maxLength: 8 }), fc.option(items, { nil: undefined }), (old, append) => {
      const actions: Buffer[] = [];
      const expected: number[][] = [];
      for (const [i, [list, { insertBefore, kind, list: other }]] of old.entries()) {
        if (insertBefore !== undefined) {
          actions.push(Buffer.from([i, 2]), encodeSegment(insertBefore));
          expected.push(insertBefore);
        }
        if (kind === 'keep') expected.push(list);
        if (kind === 'delete') actions.push(Buffer.from([i, 1]));
        if (kind === 'replace') actions.push(Buffer.from([i, 3]), encodeSegment(other));
        if (kind === 'replace') expected.push(other);
        if (kind === 'add') actions.push(Buffer.from([i, 4, other.length, 0]), pointers(other));
        if (kind === 'add') expected.push(mergeItems(list, other));
      }
      if (append !== undefined) {
        actions.push(Buffer.from([old.length, 2]), encodeSegment(append));
        expected.push(append);
      }
      const count = old.reduce(
        (sum, [, { insertBefore, kind }]) => sum + (insertBefore ? 1 : 0) + (kind === 'keep' ? 0 : 1),
        append ? 1 : 0,
      );
      const page = leafOf(old.map(([list]) => encodeSegment(list)));
      recompressLeaf(page, Buffer.concat([Buffer.from([count, 0]), ...actions]));
      expect(segmentsOf(page)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test('a leaf of plain item pointers, from before 9.4, is compressed at its first change', () => {
  const page = Buffer.alloc(PAGE_SIZE);
  initGinPage(page, GIN_DATA | GIN_LEAF);
  const list = [2049, 4097, 4099];
  page.set(pointers(list), GIN_DATA_AT);
  setMaxOffset(page, list.length);
  recompressLeaf(page, Buffer.from([1, 0, 1, 2, ...encodeSegment([9000])]));
  expect(segmentsOf(page)).toEqual([list, [9000]]);
  expect(ginFlags(page) & GIN_COMPRESSED).toBe(GIN_COMPRESSED);
  expect(maxOffset(page)).toBe(0);
});

describe('refuses', () => {
  const page = () => leafOf([encodeSegment([2049, 2050])]);
  test.each([
    { what: 'a segment that is not there', actions: [1, 0, 1, 1], message: /segment 1 is not on the page/ },
    { what: 'going back', actions: [2, 0, 0, 1, 0, 1], message: /goes back from segment 1 to 0/ },
    { what: 'an unknown action', actions: [1, 0, 0, 9], message: /unexpected posting list action 9/ },
    { what: 'data that ends early', actions: [2, 0, 0, 1], message: /needs 2 bytes at 4/ },
  ])('$what', ({ actions, message }) => {
    const before = page();
    const changed = page();
    expect(() => recompressLeaf(changed, Buffer.from(actions))).toThrow(message);
    expect(changed).toEqual(before);
  });

  test('more than a page holds', () => {
    const wide = Array.from({ length: 1300 }, (_, i) => (i + 1) * 2 ** 30 + 1);
    expect(() =>
      recompressLeaf(page(), Buffer.concat([Buffer.from([1, 0, 0, 2]), encodeSegment(wide), encodeSegment(wide)])),
    ).not.toThrow();
    const two = Buffer.concat([Buffer.from([2, 0, 0, 2]), encodeSegment(wide), Buffer.from([0, 2]), encodeSegment(wide)]);
    expect(() => recompressLeaf(page(), two)).toThrow(/do not fit a page/);
  });
});
