import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addItem,
  deleteIndexItem,
  deleteIndexItems,
  initPage,
  itemBytes,
  lineCount,
  overwriteIndexItem,
  PAGE_SIZE,
  PageLayoutError,
  pageUpper,
} from './index.ts';

function pageOf(items: readonly Buffer[]): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initPage(page, 16);
  for (const item of items) addItem(page, item, lineCount(page) + 1, 'shuffle');
  return page;
}

function itemsOf(page: Buffer): string[] {
  return Array.from({ length: lineCount(page) }, (_, i) => itemBytes(page, i + 1).toString('hex'));
}

const item = fc
  .uint8Array({ minLength: 1, maxLength: 60 })
  .map((bytes) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(-bytes.length & 7)]));
const items = fc.array(item, { minLength: 1, maxLength: 60 });

test('a page behaves as a list of items under insert, delete and overwrite', () => {
  fc.assert(
    fc.property(items, fc.array(fc.tuple(fc.nat(), fc.nat(2), item), { maxLength: 40 }), (start, steps) => {
      const page = pageOf(start);
      const model = start.map((bytes) => bytes.toString('hex'));
      for (const [pick, action, bytes] of steps) {
        if (action === 0) {
          const at = pick % (model.length + 1);
          addItem(page, bytes, at + 1, 'shuffle');
          model.splice(at, 0, bytes.toString('hex'));
        } else if (model.length > 0) {
          const at = pick % model.length;
          if (action === 1) {
            deleteIndexItem(page, at + 1);
            model.splice(at, 1);
          } else {
            overwriteIndexItem(page, at + 1, bytes);
            model[at] = bytes.toString('hex');
          }
        }
        expect(itemsOf(page)).toEqual(model);
        const used = model.reduce((sum, hex) => sum + hex.length / 2, 0);
        expect(pageUpper(page)).toBe(PAGE_SIZE - 16 - used);
      }
    }),
    { numRuns: 50 },
  );
});

test('deleting many items at once keeps the others in order', () => {
  fc.assert(
    fc.property(items, fc.func(fc.boolean()), (start, drop) => {
      const page = pageOf(start);
      const doomed = start.map((_, i) => i + 1).filter((i) => drop(i));
      deleteIndexItems(page, doomed);
      expect(itemsOf(page)).toEqual(start.filter((_, i) => !doomed.includes(i + 1)).map((bytes) => bytes.toString('hex')));
    }),
    { numRuns: 50 },
  );
});

test('an item that does not fit or sits past the end is refused', () => {
  const page = pageOf([Buffer.alloc(8, 1)]);
  expect(() => addItem(page, Buffer.alloc(8), 3, 'shuffle')).toThrow(PageLayoutError);
  expect(() => addItem(page, Buffer.alloc(8), 1, 'overwrite')).toThrow(/in use/);
  expect(() => addItem(page, Buffer.alloc(8160), 2, 'shuffle')).toThrow(/bytes are free/);
});
