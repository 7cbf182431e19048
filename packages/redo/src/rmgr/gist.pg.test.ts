import { expect, test } from 'vitest';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

function* statements(): Generator<string> {
  yield 'create table points(id int, p point); create index points_p on points using gist(p)';
  yield 'insert into points select g, point((g * 7919) % 10007, (g * 104729) % 10009) from generate_series(1, 8000) g';
  // Keys of inner pages grow and are replaced one for one.
  yield 'create table ranges(r int4range); create index ranges_r on ranges using gist(r)';
  yield 'insert into ranges select int4range(g, g + 10 + (g * 31) % 500) from generate_series(1, 4000) g';
  // Inner keys of 2 kB: inner pages split too, in two or more.
  yield 'create table texts(t tsvector); create index texts_t on texts using gist(t tsvector_ops(siglen = 2000))';
  yield `insert into texts
         select to_tsvector('simple', md5(g::text) || ' ' || md5((g * 2)::text) || ' w' || g % 50) from generate_series(1, 3000) g`;
  // Whole pages become empty, are deleted, and are used again.
  yield 'delete from points where p[0] < 6000';
  yield 'vacuum points';
  yield 'select txid_current()';
  yield 'vacuum points';
  yield 'insert into points select g, point((g * 7919) % 10007, (g * 104729) % 10009) from generate_series(1, 4000) g';
  // Tuples that scans find dead are removed by the next insert that finds the page full.
  yield 'create table dead(p point); create index dead_p on dead using gist(p)';
  yield 'set enable_seqscan = off; set enable_bitmapscan = off';
  for (let round = 0; round < 6; round++) {
    yield 'insert into dead select point(g % 10, g % 7) from generate_series(1, 400) g';
    yield 'delete from dead';
    yield "select count(*) from (select * from dead where p <@ box '((-1,-1),(100,100))') x";
  }
  // Built with buffering, and sorted: pages come as images, then change by records.
  yield 'create index points_buffered on points using gist(p) with (buffering = on)';
  yield 'create index points_sorted on points using gist(p)';
  yield 'insert into points select g, point(g, g) from generate_series(1, 2000) g';
}

/**
 * Only an index that is changed without WAL asks for LSNs of its own, with wal_level = minimal: verify/rare-logs.ts has
 * some.
 */
const ONLY_WITHOUT_WAL = ['ASSIGN_LSN'];

test.each<ImageMode>(['no images', 'images'])('GiST records replay to the pages PostgreSQL has (%s)', async (mode) => {
  const childBlocks = new Set<string>();
  const { verifier, fileDifferences } = await verifyWorkload(
    {
      checking: 'gist',
      statements: [...statements()],
      onRecord: ({ rmid, info, blocks }) => {
        if (rmid === 14 && (info & 0xf0) === 0x00 && blocks.some((block) => block.id === 1)) childBlocks.add('PAGE_UPDATE');
        if (rmid === 14 && (info & 0xf0) === 0x30 && blocks.some((block) => block.id === 0)) childBlocks.add('PAGE_SPLIT');
      },
    },
    mode,
  );
  process.stdout.write(`${coverageOf(verifier, 'GIST')}\n`);
  expect(verifier.mismatches).toEqual([]);
  expect(fileDifferences).toEqual([]);
  expect(recordsNotMet(verifier, 'GIST', ONLY_WITHOUT_WAL)).toEqual([]);
  // Both records that finish the split of a child page were met.
  expect([...childBlocks].sort()).toEqual(['PAGE_SPLIT', 'PAGE_UPDATE']);
});
