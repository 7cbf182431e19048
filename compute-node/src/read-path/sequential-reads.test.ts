import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { PageRange } from './page-range.ts';
import { SequentialReads } from './sequential-reads.ts';

const FORK = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const range = (block: number, count: number, relNumber = FORK.relNumber): PageRange => ({ ...FORK, relNumber, block, count });
const shown = (ranges: readonly PageRange[]): string => ranges.map(({ block, count }) => `${block}+${count}`).join(' ');

it.each<{ what: string; asked: [number, number][]; ahead: string[] }>([
  { what: 'one request is no run', asked: [[0, 16]], ahead: [''] },
  {
    what: 'the second that goes on is, and the window doubles',
    asked: [
      [0, 1],
      [1, 2],
      [3, 4],
      [7, 8],
      [15, 16],
    ],
    ahead: ['', '3+16', '19+16', '35+32', '67+64'],
  },
  {
    what: 'single blocks that are only close by are lookups',
    asked: [
      [100, 1],
      [103, 1],
      [110, 1],
      [90, 1],
    ],
    ahead: ['', '', '', ''],
  },
  {
    what: 'single blocks that go on are a run',
    asked: [
      [100, 1],
      [101, 1],
      [102, 1],
    ],
    ahead: ['', '102+16', '118+16'],
  },
  {
    what: 'blocks that PostgreSQL has are passed over',
    asked: [
      [0, 16],
      [20, 16],
      [60, 4],
    ],
    ahead: ['', '36+16 52+16', '68+32'],
  },
  {
    what: 'requests come late and early through several processes',
    asked: [
      [0, 16],
      [16, 16],
      [48, 16],
      [32, 16],
    ],
    ahead: ['', '32+16 48+16', '64+32 96+32', '128+64'],
  },
])('$what', ({ asked, ahead }) => {
  const reads = new SequentialReads();
  expect(asked.map(([block, count]) => shown(reads.note(range(block, count))))).toEqual(ahead);
});

it('reads nothing past the end of a fork, until it has grown', () => {
  const reads = new SequentialReads();
  reads.note(range(0, 16));
  expect(shown(reads.note(range(16, 16)))).toBe('32+16 48+16');
  reads.ended(FORK, 50);
  expect(reads.note(range(32, 16))).toEqual([]);
  expect(reads.note(range(48, 2))).toEqual([]);
  expect(reads.note(range(50, 16))).not.toEqual([]);
});

it('gives along what is ahead of a run, unless PostgreSQL asks for several stretches at the same time', () => {
  const reads = new SequentialReads();
  const ask = (block: number): string => {
    reads.note(range(block, 16));
    const along = reads.along(range(block, 16), 50);
    if (along !== undefined) reads.gaveAlong(along);
    return along === undefined ? '' : shown([along]);
  };
  expect(ask(0)).toBe('');
  expect([16, 64, 130, 196, 262].map(ask)).toEqual(['32+32', '80+50', '146+50', '212+50', '278+50']);
  // Asked for before it came: PostgreSQL asks for several stretches at a time, until the fork is read from its beginning.
  expect([278, 294, 310, 700, 716].map(ask)).toEqual(['', '', '', '', '']);
  expect([0, 16, 64].map(ask)).toEqual(['', '32+32', '80+50']);
  // Of a run that nothing is known of, nothing.
  expect(reads.along(range(5000, 16), 50)).toBeUndefined();
});

it('lets a fork show a run anew when what was read ahead was wasted', () => {
  const reads = new SequentialReads();
  reads.note(range(0, 16));
  reads.note(range(16, 16));
  reads.wasted(FORK);
  expect(reads.note(range(32, 16))).toEqual([]);
  expect(shown(reads.note(range(48, 16)))).toBe('64+16 80+16');
});

it('of a scan every block past the first requests is read ahead, once, and never further than the window', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 128 }), fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 }), (count, order) => {
      const reads = new SequentialReads();
      const pending: number[] = [];
      const ahead = new Set<number>();
      let asked = 0;
      for (const late of order) {
        pending.push(asked);
        asked += count;
        // Those that were asked for in order come in any order.
        const block = pending.splice(late % pending.length, 1)[0] ?? 0;
        for (const each of reads.note(range(block, count))) {
          expect(each.block + each.count).toBeLessThanOrEqual(asked + count + 512);
          for (let at = each.block; at < each.block + each.count; at++) ahead.add(at);
        }
      }
      expect(ahead.has(0)).toBe(false);
    }),
  );
});

it('remembers a bounded number of forks', () => {
  const reads = new SequentialReads();
  reads.note(range(0, 16, 1));
  for (let relNumber = 2; relNumber < 400; relNumber++) reads.note(range(0, 16, relNumber));
  expect(reads.note(range(16, 16, 1))).toEqual([]);
  expect(reads.note(range(16, 16, 399))).not.toEqual([]);
});
