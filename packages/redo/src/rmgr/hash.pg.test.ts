import { expect, test } from 'vitest';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

function* statements(): Generator<string> {
  // Splits at a low fill factor, chains of overflow pages, and vacuum that squeezes them.
  yield `create table splits(id int, k int) with (fillfactor = 100);
         create index splits_k on splits using hash(k) with (fillfactor = 10)`;
  yield 'insert into splits select g, g from generate_series(1, 3000) g';
  yield 'insert into splits select g, g % 3 from generate_series(1, 4000) g';
  yield 'delete from splits where id % 2 = 0';
  yield 'vacuum splits';
  yield 'insert into splits select g, g % 3 from generate_series(1, 3000) g';
  yield 'delete from splits where id % 7 <> 0';
  yield 'vacuum splits';

  // Tuples that scans find dead are removed by the next insert that finds the page full.
  yield 'create table dead(id int, k int); create index dead_k on dead using hash(k)';
  yield 'set enable_seqscan = off; set enable_bitmapscan = off';
  for (let round = 0; round < 6; round++) {
    yield 'insert into dead select g, g % 4 from generate_series(1, 500) g';
    yield 'delete from dead';
    for (let k = 0; k < 4; k++) yield `select * from dead where k = ${k}`;
  }

  // Long chains: tuples move between overflow pages; dead markings that vacuum clears.
  yield 'create table chains(id int, k int); create index chains_k on chains using hash(k)';
  yield 'insert into chains select g, g % 2 from generate_series(1, 12000) g';
  yield 'delete from chains where id % 5 < 3 and id % 2 = 0';
  yield 'delete from chains where id between 3000 and 9000';
  yield 'select count(*) from (select * from chains where k = 0) x';
  yield 'select count(*) from (select * from chains where k = 1) x';
  yield 'vacuum chains';
  yield 'insert into chains select g, g % 2 from generate_series(1, 3000) g';
  yield 'delete from chains where id % 4 = 0';
  yield 'vacuum chains';
  yield 'delete from chains';
  yield 'vacuum chains';

  // Metapages of built indexes of several sizes. Their images come with the insert after the build.
  for (const rows of [0, 100, 121, 20_480, 24_000, 44_000]) {
    yield `create table built${rows}(k int) with (fillfactor = 100);
           insert into built${rows} select generate_series(1, ${rows});
           analyze built${rows}`;
    yield "set wal_consistency_checking = ''";
    yield `create index built${rows}_k on built${rows} using hash(k) with (fillfactor = 10)`;
    yield 'reset wal_consistency_checking';
    yield `insert into built${rows} values (1)`;
  }
  yield 'create unlogged table unlogged(k int); create index on unlogged using hash(k)';
}

test.each<ImageMode>(['no images', 'images'])('hash records replay to the pages PostgreSQL has (%s)', async (mode) => {
  const { verifier, fileDifferences } = await verifyWorkload({ checking: 'hash', statements: [...statements()] }, mode);
  process.stdout.write(`${coverageOf(verifier, 'HASH')}\n`);
  expect(verifier.mismatches).toEqual([]);
  expect(fileDifferences).toEqual([]);
  expect(recordsNotMet(verifier, 'HASH')).toEqual([]);
});
