import { expect, test } from 'vitest';
import { blocksIn, decodeLocalChunks, encodeLocalChunks, type Blocks, type LocalChunk } from './local-pages.ts';
import { hotFirst, pagesWanted } from './pages-wanted.ts';

const words = (blocks: bigint): Blocks => [0n, 32n, 64n, 96n].map((by) => Number((blocks >> by) & 0xffff_ffffn)) as unknown as Blocks;
const chunk = (relNumber: number, number: number, blocks: bigint, isRead = true): LocalChunk => ({
  spcOid: 1663,
  dbOid: 5,
  relNumber,
  number,
  blocks: words(blocks),
  isRead,
});
const range = (relNumber: number, block: number, count: number): object => ({ spcOid: 1663, dbOid: 5, relNumber, fork: 0, block, count });
const FULL = (1n << 128n) - 1n;

test.each([
  ['all of a chunk that is not here, at its place in the fork', [chunk(1, 3, FULL)], [], 1000, [range(1, 384, 128)], 128, 0],
  ['nothing where all is here', [chunk(1, 0, 0b1011n)], [chunk(1, 0, FULL)], 1000, [], 3, 3],
  [
    'what is missing, in runs',
    [chunk(1, 0, 0b1101_1111n)],
    [chunk(1, 0, 0b100n)],
    1000,
    [range(1, 0, 2), range(1, 3, 2), range(1, 6, 2)],
    7,
    1,
  ],
  ['no more than there is room for', [chunk(1, 0, FULL), chunk(2, 0, FULL)], [], 130, [range(1, 0, 128), range(2, 0, 2)], 256, 0],
  ['nothing without room', [chunk(1, 0, FULL)], [], 0, [], 128, 0],
  ['nothing with less than no room', [chunk(1, 0, FULL)], [], -5, [], 128, 0],
  ['the same number of another relation is another page', [chunk(1, 0, 1n)], [chunk(2, 0, 1n)], 10, [range(1, 0, 1)], 1, 0],
  ['the last block of a chunk', [chunk(1, 1, 1n << 127n)], [], 10, [range(1, 255, 1)], 1, 0],
] as const)('%s', (_what, theirs, own, room, ranges, all, ours) => {
  expect(pagesWanted(theirs, own, room)).toEqual({ ranges, theirs: all, ours });
});

test('what was read lately comes first, and the rest is left out where there is too much', () => {
  const [cold, warm, hot] = [chunk(1, 0, 1n, false), chunk(2, 0, 1n), chunk(3, 0, 1n)];
  expect(hotFirst([cold, warm, hot], 2)).toEqual([warm, hot]);
});

test('blocks are counted in every word', () => {
  for (let bits = 0n; bits <= 128n; bits++) {
    expect(blocksIn(words((1n << bits) - 1n))).toBe(Number(bits));
    expect(blocksIn(words(FULL << bits))).toBe(128 - Number(bits));
  }
});

test('a list comes back as it was', () => {
  const chunks = [chunk(1, 0, FULL), chunk(0xffff_ffff, 0xffff_ffff, 1n << 64n, false)];
  expect(decodeLocalChunks(encodeLocalChunks(chunks))).toEqual(chunks);
  expect(() => decodeLocalChunks(Buffer.alloc(41))).toThrow(RangeError);
});
