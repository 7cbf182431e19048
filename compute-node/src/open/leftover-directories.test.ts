import {
  HEAP_INFOMASK,
  HEAP_TUPLE_HEADER_BYTES,
  initPage,
  ITEM_ID_FLAG,
  itemIdAt,
  packItemId,
  PAGE_BYTES,
  PAGE_HEADER,
} from '@kube-aurora/pg-format';
import { addDatabase, encodePageKey, setRelationMap, SLRU_FORK, SLRU_KINDS, type VolumeState } from '@kube-aurora/redo';
import { beforeEach, describe, expect, test } from 'vitest';
import { fixtureState } from '../postgres/fixture-state.ts';
import { committedIn, databaseHomes, databasesInTwoPlaces, leftoverDirectories, pgDatabaseFork } from './leftover-directories.ts';

let state: VolumeState;
beforeEach(() => {
  state = fixtureState();
});

function directory(spcOid: number, dbOid: number, relations: readonly number[], isOwn = true): void {
  if (isOwn) {
    addDatabase(state, { spcOid, dbOid });
    setRelationMap(state, { spcOid, dbOid }, Buffer.alloc(524));
  }
  for (const relNumber of relations) state.relations.setBlocks({ spcOid, dbOid, relNumber, fork: 0 }, 1);
}

describe('directories that a move of a database left', () => {
  const homes = (spcOid: number): Map<number, number> => new Map([[7, spcOid]]);
  test('are the copy that was given up, or the original that was left', () => {
    directory(1663, 7, [1259, 1249]);
    directory(900, 7, [1259, 1249]);
    expect([...databasesInTwoPlaces(state)]).toEqual([7]);
    expect(leftoverDirectories(state, homes(900))).toEqual({ dropped: [{ spcOid: 1663, dbOid: 7 }], doubtful: [] });
    expect(leftoverDirectories(state, homes(1663))).toEqual({ dropped: [{ spcOid: 900, dbOid: 7 }], doubtful: [] });
  });
  test('are left alone when something is in them that the database has nowhere else', () => {
    directory(1663, 7, [1259, 1249]);
    directory(900, 7, [1259, 1249, 16_400]);
    expect(leftoverDirectories(state, homes(1663))).toEqual({ dropped: [], doubtful: [{ spcOid: 900, dbOid: 7 }] });
  });
  test('are left alone when nobody knows where the database lives', () => {
    directory(1663, 7, [1259]);
    directory(900, 7, [1259]);
    expect(leftoverDirectories(state, new Map()).dropped).toEqual([]);
    expect(leftoverDirectories(state, homes(901)).dropped).toEqual([]);
  });
  test('are not those of tables in another tablespace', () => {
    directory(1663, 7, [1259, 16_400]);
    directory(900, 7, [16_400], false);
    expect(databasesInTwoPlaces(state).size).toBe(0);
    expect(leftoverDirectories(state, homes(1663))).toEqual({ dropped: [], doubtful: [] });
  });
});

test('pg_database is found through the shared relation map', () => {
  const map = Buffer.alloc(524);
  map.writeInt32LE(2, 4);
  for (const [at, value] of [
    [8, 1260],
    [12, 1260],
    [16, 1262],
    [20, 24_576],
  ] as const)
    map.writeUInt32LE(value, at);
  expect(pgDatabaseFork(state)).toBeUndefined();
  setRelationMap(state, { spcOid: 1664, dbOid: 0 }, map);
  const fork = { spcOid: 1664, dbOid: 0, relNumber: 24_576, fork: 0 };
  state.relations.setBlocks(fork, 3);
  expect(pgDatabaseFork(state)).toEqual({ ...fork, blocks: 3 });
});

interface Row {
  readonly dbOid: number;
  readonly spcOid: number;
  readonly xmin: number;
  readonly xmax?: number;
  readonly mask?: number;
}

function pageOf(rows: readonly Row[]): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  initPage(page, 0);
  let upper = PAGE_BYTES;
  for (const [i, { dbOid, spcOid, xmin, xmax = 0, mask }] of rows.entries()) {
    const hoff = HEAP_TUPLE_HEADER_BYTES + 1;
    const tuple = Buffer.alloc(hoff + 96);
    tuple.writeUInt32LE(xmin, 0);
    tuple.writeUInt32LE(xmax, 4);
    tuple.writeUInt16LE(mask ?? (xmax === 0 ? HEAP_INFOMASK.XMAX_INVALID : 0), 20);
    tuple.writeUInt8(hoff, 22);
    tuple.writeUInt32LE(dbOid, hoff);
    tuple.writeUInt32LE(spcOid, hoff + 92);
    upper -= tuple.length;
    tuple.copy(page, upper);
    page.writeUInt32LE(packItemId(upper, ITEM_ID_FLAG.NORMAL, tuple.length), itemIdAt(i + 1));
  }
  page.writeUInt16LE(itemIdAt(rows.length + 1), PAGE_HEADER.lower.at);
  page.writeUInt16LE(upper, PAGE_HEADER.upper.at);
  return page;
}

describe('where a database lives', () => {
  const committed = (xid: number): boolean => [10, 11, 12].includes(xid);
  const { XMIN_COMMITTED, XMIN_INVALID, XMAX_INVALID, XMAX_LOCK_ONLY, XMAX_IS_MULTI } = HEAP_INFOMASK;
  test.each<[string, Row[], [number, number][]]>([
    ['a committed row', [{ dbOid: 7, spcOid: 900, xmin: 10 }], [[7, 900]]],
    ['a row of a transaction that died', [{ dbOid: 7, spcOid: 900, xmin: 99 }], []],
    ['a frozen row', [{ dbOid: 7, spcOid: 900, xmin: 99, mask: XMIN_COMMITTED | XMIN_INVALID | XMAX_INVALID }], [[7, 900]]],
    [
      'a move that was committed',
      [
        { dbOid: 7, spcOid: 1663, xmin: 10, xmax: 11 },
        { dbOid: 7, spcOid: 900, xmin: 11 },
      ],
      [[7, 900]],
    ],
    [
      'a move that died before it was',
      [
        { dbOid: 7, spcOid: 1663, xmin: 10, xmax: 99 },
        { dbOid: 7, spcOid: 900, xmin: 99 },
      ],
      [[7, 1663]],
    ],
    ['a row that was only locked', [{ dbOid: 7, spcOid: 900, xmin: 10, xmax: 11, mask: XMAX_LOCK_ONLY }], [[7, 900]]],
    ['a database that was dropped', [{ dbOid: 7, spcOid: 900, xmin: 10, xmax: 12 }], []],
    [
      'a row whose updater is hidden among lockers',
      [
        { dbOid: 7, spcOid: 1663, xmin: 10, xmax: 5, mask: XMAX_IS_MULTI },
        { dbOid: 7, spcOid: 900, xmin: 11 },
        { dbOid: 8, spcOid: 1663, xmin: 11 },
      ],
      [[8, 1663]],
    ],
  ])('%s', (_what, rows, homes) => {
    expect([...databaseHomes(Buffer.concat([Buffer.alloc(PAGE_BYTES), pageOf(rows)]), committed)]).toEqual(homes);
  });

  test('pg_xact says who committed; what it has no page of any more did', () => {
    const page = Buffer.alloc(PAGE_BYTES);
    // Two bits a transaction: 32769 committed, 32770 aborted, 32771 a subtransaction of one that was not over.
    page.writeUInt8((1 << 2) | (2 << 4) | (3 << 6), 0);
    const key = encodePageKey({ spcOid: 0, dbOid: SLRU_KINDS.pg_xact, relNumber: 0, fork: SLRU_FORK, block: 1 }).toString('hex');
    const isCommitted = committedIn(new Map([[key, page]]));
    expect([32_768, 32_769, 32_770, 32_771].map(isCommitted)).toEqual([false, true, false, false]);
    expect([0, 1, 2, 700].map(isCommitted)).toEqual([false, true, true, true]);
  });
});
