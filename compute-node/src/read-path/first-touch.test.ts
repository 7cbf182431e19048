import { expect, it } from 'vitest';
import { FirstTouch, firstTouchReads, type UntouchedFork } from './first-touch.ts';

const DATABASE = { spcOid: 1663, dbOid: 5 };
const FORKS: readonly UntouchedFork[] = [
  { relNumber: 16_500, fork: 0, blocks: 40 },
  { relNumber: 1259, fork: 0, blocks: 3 },
  { relNumber: 1259, fork: 2, blocks: 1 },
  { relNumber: 1260, fork: 0, blocks: 0 },
  { relNumber: 1300, fork: 0, blocks: 100 },
  { relNumber: 1400, fork: 0, blocks: 129 },
];
const fork = (relNumber: number) => ({ ...DATABASE, relNumber, fork: 0 });
const shown = (pagesMax: number, forks = FORKS): string[] =>
  firstTouchReads(fork(2000), forks, pagesMax).map((ranges) =>
    ranges.map(({ relNumber, fork: number, block, count }) => `${relNumber}/${number}:${block}+${count}`).join(' '),
  );

it('reads small forks, catalogs first, 64 pages with a request, as far as there is room for a whole one', () => {
  expect(shown(1000)).toEqual(['1259/0:0+3 1259/2:0+1 1300/0:0+60', '1300/0:60+40 16500/0:0+24', '16500/0:24+16']);
  expect(shown(143)).toEqual(['1259/0:0+3 1259/2:0+1 1300/0:0+60', '1300/0:60+40']);
  expect(shown(2)).toEqual([]);
  const many = Array.from({ length: 2000 }, (_, at) => ({ relNumber: at, fork: 0, blocks: 1 }));
  expect(firstTouchReads(fork(0), many, 1e6).flat()).toHaveLength(1024);
});

it('is the first request of each database once, and knows what was read of a fork as a whole', () => {
  const touch = new FirstTouch();
  expect([touch.note(fork(1)), touch.note(fork(2)), touch.note({ ...fork(1), dbOid: 6 })]).toEqual([true, false, true]);
  for (const ranges of firstTouchReads(fork(1), FORKS, 1000)) touch.readAhead(ranges);
  const whole = (relNumber: number, block: number, count: number): boolean => touch.wasReadWhole({ ...fork(relNumber), block, count });
  expect([whole(1300, 60, 40), whole(1300, 60, 41), whole(1400, 0, 1)]).toEqual([true, false, false]);
});
