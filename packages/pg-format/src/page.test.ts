import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lsn } from './lsn.ts';
import {
  initPage,
  itemCount,
  itemIdFlags,
  itemIdLength,
  itemIdOffset,
  packItemId,
  PAGE_BYTES,
  PAGE_HEADER,
  pageIsNew,
  pageLsn,
  setPageLsn,
} from './page.ts';

test('pd_lsn takes every LSN, high half first', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }), (position) => {
      const page = Buffer.alloc(PAGE_BYTES);
      setPageLsn(page, lsn(position));
      expect(pageLsn(page)).toBe(position);
      expect(page.readUInt32LE(0)).toBe(Number(position >> 32n));
    }),
  );
});

test('line pointers pack and unpack', () => {
  const bits15 = fc.integer({ min: 0, max: 0x7fff });
  fc.assert(
    fc.property(bits15, fc.integer({ min: 0, max: 3 }), bits15, (offset, flags, length) => {
      const word = packItemId(offset, flags, length);
      expect([itemIdOffset(word), itemIdFlags(word), itemIdLength(word)]).toEqual([offset, flags, length]);
      expect(word).toBeGreaterThanOrEqual(0);
    }),
  );
});

test('a page is new until it is initialised', () => {
  const page = Buffer.alloc(PAGE_BYTES);
  expect(pageIsNew(page)).toBe(true);
  initPage(page, 14);
  expect(pageIsNew(page)).toBe(false);
  expect(page.readUInt16LE(PAGE_HEADER.special.at)).toBe(PAGE_BYTES - 16);
  expect(itemCount(page)).toBe(0);
});
