import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c, emptyWalPage, lsn, WAL_PAGE_BYTES, WAL_SEGMENT_BYTES, walSegmentFileName, type Lsn } from '@kube-aurora/pg-format';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { carryOver, type CarriedOver, type WrittenWal } from './carry-over.ts';

const segment = (n: number, offset = 0): Lsn => lsn(BigInt(n) * BigInt(WAL_SEGMENT_BYTES) + BigInt(offset));
/** X, in segment 5. */
const X = segment(5, 3 * WAL_PAGE_BYTES + 800);

let root: string;
let from: string;
let to: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'carry-over-'));
  [from, to] = [join(root, 'old'), join(root, 'new')];
  for (const dir of [from, to])
    for (const name of ['pg_wal', 'pg_replslot', 'pg_logical/snapshots', 'pg_logical/mappings', 'pg_stat'])
      mkdirSync(join(dir, name), { recursive: true });
  // What begins at X is there already.
  const begun = Buffer.alloc(WAL_SEGMENT_BYTES);
  begun.fill('new', 3 * WAL_PAGE_BYTES + 800, 4 * WAL_PAGE_BYTES);
  writeFileSync(walFile(to, X), begun);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const walFile = (dir: string, at: Lsn, timeline = 1): string => join(dir, 'pg_wal', walSegmentFileName(timeline, at));

function writeWal(at: Lsn, fill: string, timeline = 1): void {
  const bytes = Buffer.alloc(WAL_SEGMENT_BYTES, fill);
  for (let page = 0; page < WAL_SEGMENT_BYTES; page += WAL_PAGE_BYTES) {
    const header = emptyWalPage({ systemIdentifier: 1n, timeline, pageLsn: lsn(at + BigInt(page)) });
    header.copy(bytes, page, 0, 40);
  }
  writeFileSync(walFile(from, at, timeline), bytes);
}

function writeSlot(name: string, restartLsn: Lsn, { persistency = 0, invalidated = 0, isDamaged = false, isFailover = false } = {}): void {
  const bytes = Buffer.alloc(200);
  bytes.writeUInt32LE(0x1051ca1, 0);
  bytes.writeUInt32LE(5, 8);
  bytes.writeUInt32LE(184, 12);
  bytes.write(name, 16);
  bytes.writeInt32LE(persistency, 84);
  bytes.writeBigUInt64LE(restartLsn, 96);
  bytes.writeInt32LE(invalidated, 104);
  bytes.writeUInt8(Number(isFailover), 194);
  bytes.writeUInt32LE(crc32c(bytes.subarray(8)), 4);
  if (isDamaged) bytes.writeUInt8(1, 90);
  mkdirSync(join(from, 'pg_replslot', name));
  writeFileSync(join(from, 'pg_replslot', name, 'state'), bytes);
}

function carry(upTo: Lsn | undefined, wal: WrittenWal = {}, isReaders = false): CarriedOver {
  return carryOver({
    from,
    to,
    carries: upTo === undefined ? undefined : { upTo, wal },
    isReaders,
    timeline: 1,
    directory: (name) => {
      mkdirSync(join(to, name));
    },
    file: (name, bytes) => writeFileSync(join(to, name), bytes),
  });
}

it('carries slots with all WAL from where the last of them stands up to X, and no more', () => {
  for (const n of [2, 3, 4, 5, 6]) writeWal(segment(n), `${n}`);
  writeSlot('logical', segment(3, 900));
  writeSlot('physical', segment(4, 900));
  writeSlot('nothing_yet', lsn(0));
  writeSlot('temporary', segment(2, 900), { persistency: 2 });
  expect(carry(X)).toEqual({ slots: ['logical', 'nothing_yet', 'physical'], lost: [], hasStatistics: false });
  expect(readdirSync(join(to, 'pg_wal')).toSorted()).toEqual([3, 4, 5].map((n) => walSegmentFileName(1, segment(n))));
  const last = readFileSync(walFile(to, X));
  expect(last.subarray(3 * WAL_PAGE_BYTES + 795, 3 * WAL_PAGE_BYTES + 806).toString()).toBe('55555newnew');
  // What was annulled past X is not there.
  expect(last.subarray(4 * WAL_PAGE_BYTES).every((byte) => byte === 0)).toBe(true);
  expect(readdirSync(join(to, 'pg_replslot')).toSorted()).toEqual(['logical', 'nothing_yet', 'physical']);
});

it('carries no slot whose WAL is not whole, or whose file is damaged, and says which and why', () => {
  for (const n of [2, 4, 5]) writeWal(segment(n), `${n}`);
  writeSlot('behind', segment(2, 900));
  writeSlot('given_up', segment(2, 900), { invalidated: 1 });
  writeSlot('ahead', segment(6, 900));
  writeSlot('damaged', segment(4, 900), { isDamaged: true });
  writeSlot('well', segment(4, 900));
  expect(carry(X)).toEqual({
    slots: ['given_up', 'well'],
    lost: [
      { name: 'ahead', why: 'the log that it needs from 0/5006320 on is not there' },
      { name: 'behind', why: 'the log that it needs from 0/3000000 on is not there' },
      { name: 'damaged', why: "the state of replication slot 'damaged' is damaged" },
    ],
    hasStatistics: false,
  });
});

it('carries what decoding stored up to X, and statistics', () => {
  for (const n of [4, 5]) writeWal(segment(n), `${n}`);
  writeSlot('slot', segment(4, 900));
  const decoding = ['snapshots/0-4000400.snap', 'snapshots/0-6000400.snap', 'snapshots/0-4000400.snap.12.tmp'];
  const mappings = ['mappings/map-4000-4eb-0_4000400-2e5-2e5', 'mappings/map-4000-4eb-0_6000400-2e5-2e6'];
  for (const name of [...decoding, ...mappings]) writeFileSync(join(from, 'pg_logical', name), '');
  for (const name of ['pgstat.stat', 'pgstat.tmp']) writeFileSync(join(from, 'pg_stat', name), '');
  expect(carry(X)).toMatchObject({ slots: ['slot'], hasStatistics: true });
  expect(readdirSync(join(to, 'pg_logical/snapshots'))).toEqual(['0-4000400.snap']);
  expect(readdirSync(join(to, 'pg_logical/mappings'))).toEqual(['map-4000-4eb-0_4000400-2e5-2e5']);
  expect(readdirSync(join(to, 'pg_stat'))).toEqual(['pgstat.stat']);
});

it('carries nothing of a directory that is not known to have the log, and names its slots', () => {
  for (const n of [4, 5]) writeWal(segment(n), `${n}`);
  writeSlot('slot', segment(4, 900));
  writeFileSync(join(from, 'pg_stat/pgstat.stat'), '');
  const { slots, lost, hasStatistics } = carry(undefined);
  expect([slots, lost.map(({ name }) => name), hasStatistics]).toEqual([[], ['slot'], false]);
  expect(existsSync(join(to, 'pg_replslot/slot'))).toBe(false);
});

it('carries of a reader that was promoted what was given to it and what it wrote, under the timeline of the volume', () => {
  for (const n of [2, 3, 4]) writeWal(segment(n), `${n}`);
  // It was promoted in segment 4; what is there under the old timeline ends there.
  for (const [n, fill] of [
    [4, 'd'],
    [5, 'e'],
    [6, 'f'],
  ] as const)
    writeWal(segment(n), fill, 2);
  const wal = { fromLsn: segment(3, 1000), promoted: { lsn: segment(4, 2000), timeline: 2 } };
  writeSlot('before_it_began', segment(3, 992));
  writeSlot('given', segment(3, 1000), { isFailover: true });
  writeSlot('own', segment(5, 64));
  expect(carry(X, wal)).toEqual({
    slots: ['given', 'own'],
    lost: [{ name: 'before_it_began', why: 'the log that it needs from 0/30003E0 on is not there' }],
    hasStatistics: false,
  });
  expect(readdirSync(join(to, 'pg_wal')).toSorted()).toEqual([3, 4, 5].map((n) => walSegmentFileName(1, segment(n))));
  const pages = (at: Lsn, upTo: number): string[] => {
    const bytes = readFileSync(walFile(to, at));
    const found = Array.from({ length: upTo }, (_, page) => page * WAL_PAGE_BYTES);
    return [...new Set(found.map((page) => `${bytes.readUInt32LE(page + 4)} ${bytes.toString('latin1', page + 40, page + 42)}`))];
  };
  const all = WAL_SEGMENT_BYTES / WAL_PAGE_BYTES;
  expect([pages(segment(3), all), pages(segment(4), all), pages(segment(5), 4)]).toEqual([['1 33'], ['1 dd'], ['1 ee']]);
});

it('does not call lost what a reader makes anew from the writer', () => {
  writeSlot('followed', segment(4, 900), { isFailover: true });
  writeSlot('own', segment(4, 900));
  expect(carry(undefined, {}, true).lost.map(({ name }) => name)).toEqual(['own']);
  expect(carry(undefined).lost.map(({ name }) => name)).toEqual(['followed', 'own']);
});
