import { OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { expect, test } from 'vitest';
import { segmentSize } from './gin/posting-list.ts';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

/** Much of the same: replayed as all, but compared only when the pages are changed next. Spares gigabytes of images. */
function* unchecked(statement: string): Generator<string> {
  yield "set wal_consistency_checking = ''";
  yield statement;
  yield 'reset wal_consistency_checking';
}

function* statements(): Generator<string> {
  // Posting trees: few keys, many rows.
  yield 'create table few(id int, a int[]) with (fillfactor = 100); create index few_a on few using gin(a) with (fastupdate = off)';
  yield* unchecked('insert into few select g, array[g % 2, 100 + g % 500] from generate_series(1, 12000) g');
  yield 'delete from few where id between 2000 and 9000';
  yield 'vacuum few';
  yield 'insert into few select g, array[g % 2, 100 + g % 500] from generate_series(1, 6000) g';
  yield 'delete from few where id % 3 = 0';
  yield 'vacuum few';
  yield 'insert into few select g, array[g % 2, 7] from generate_series(1, 3000) g';
  yield 'delete from few';
  yield 'vacuum few';

  // The pending list: appended to, extended by lists of pages, cleaned up over and over.
  yield 'create table pending(a int[]); create index pending_a on pending using gin(a) with (gin_pending_list_limit = 64)';
  yield 'insert into pending select array[g % 7, g % 11, g] from generate_series(1, 3000) g';
  yield 'insert into pending select (select array_agg(x) from generate_series(g * 400, g * 400 + 399) x) from generate_series(1, 6) g';
  yield "select gin_clean_pending_list('pending_a')";
  yield 'insert into pending select array[1, g % 11] from generate_series(1, 300) g';
  yield 'vacuum pending';
  yield 'create table long(a int[]); create index long_a on long using gin(a) with (gin_pending_list_limit = 4096)';
  yield 'insert into long select array[g, g + 1, g + 2] from generate_series(1, 4000) g';
  for (let i = 0; i < 2; i++) yield 'insert into long select (select array_agg(x) from generate_series(1, 900) x)';
  yield 'vacuum long';

  // Keys of 1 kB: an entry tree of several levels, whose inner pages split too.
  yield 'create table wide(t text[]); create index wide_t on wide using gin(t) with (fastupdate = off)';
  yield `insert into wide
         select array[(select string_agg(md5((g * 100 + i)::text), '') from generate_series(1, 30) i)] from generate_series(1, 900) g`;
  yield "delete from wide where ctid < '(60,0)'";
  yield 'vacuum wide';
  yield 'create index wide_t2 on wide using gin(t)';

  // A posting tree of many leaves: grown by inserts, its pages emptied and deleted by vacuum.
  yield 'create table tree(a int[]) with (fillfactor = 100)';
  yield 'insert into tree select array[1] from generate_series(1, 60000)';
  yield 'create index tree_a on tree using gin(a) with (fastupdate = off)';
  yield* unchecked('insert into tree select array[1] from generate_series(1, 15000)');
  yield "delete from tree where ctid >= '(60,0)' and ctid < '(400,0)'";
  yield 'vacuum tree';
  yield "delete from tree where ctid >= '(400,0)' and ctid < '(420,0)'";
  yield 'vacuum tree';
  yield 'insert into tree select array[1] from generate_series(1, 3000)';

  // Posting lists thinned out and filled again: every kind of change to a leaf's segments.
  yield 'create table thin(id int, a int[]); create index thin_a on thin using gin(a)';
  yield* unchecked('insert into thin select g, array[1] from generate_series(1, 30000) g');
  yield 'delete from thin where id % 100 < 99';
  yield 'vacuum thin';
  yield 'insert into thin select g, array[1] from generate_series(1, 8000) g';
  yield 'vacuum thin';
  yield 'delete from thin where id % 2 = 0';
  yield 'vacuum thin';
}

/** Kinds of change to posting lists that a record makes, by their numbers. */
function leafActions({ rmid, info, mainData, blocks }: WalRecord): number[] {
  const op = info & 0xf0;
  const data = blocks[0]?.data;
  if (rmid !== RMGR.GIN || data === undefined || data.length === 0) return [];
  const isLeafInsert = op === OPCODE.GIN.INSERT && mainData.readUInt16LE(0) === 3;
  if (!isLeafInsert && op !== OPCODE.GIN.VACUUM_DATA_LEAF_PAGE) return [];
  const kinds: number[] = [];
  let at = 2;
  for (let left = data.readUInt16LE(0); left > 0; left--) {
    const kind = data.readUInt8(at + 1);
    kinds.push(kind);
    at += 2;
    if (kind === 2 || kind === 3) at += segmentSize(data, at);
    if (kind === 4) at += 2 + 6 * data.readUInt16LE(at);
  }
  return kinds;
}

test.each<ImageMode>(['no images', 'images'])('GIN records replay to the pages PostgreSQL has (%s)', async (mode) => {
  const actions = new Set<number>();
  const onRecord = (record: WalRecord) => {
    for (const action of leafActions(record)) actions.add(action);
  };
  const { verifier, fileDifferences } = await verifyWorkload({ checking: 'gin', statements: [...statements()], onRecord }, mode);
  process.stdout.write(`${coverageOf(verifier, 'GIN')}\n`);
  expect(verifier.mismatches).toEqual([]);
  expect(fileDifferences).toEqual([]);
  expect(recordsNotMet(verifier, 'GIN')).toEqual([]);
  // Delete, insert, replace, add items. An image takes the actions' place, so with images some may be missing.
  if (mode === 'no images') expect(actions).toEqual(new Set([1, 2, 3, 4]));
});
