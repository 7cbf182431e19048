import { expect, test } from 'vitest';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

function* statements(): Generator<string> {
  // Rows of 2 kB and one page a range, so that few rows need a second revmap page; it takes the place of a regular one.
  yield 'create table t(id int, t text, pad char(1900)) with (fillfactor = 100)';
  yield 'alter table t alter pad set storage plain; alter table t alter t set storage plain';
  yield 'create index t_id on t using brin(id) with (pages_per_range = 1)';
  yield 'create index t_t on t using brin(t) with (pages_per_range = 1)';
  yield "insert into t select g, 'k' || g, '' from generate_series(1, 800) g";
  yield 'vacuum t';
  yield "insert into t select g, 'k' || g, '' from generate_series(800, 6200) g";
  yield "select brin_summarize_new_values('t_id'), brin_summarize_new_values('t_t')";
  // Summaries grow: in place, or on to another page.
  yield "update t set t = repeat('z', 60) || id where id % 5 = 0 and id < 1200";
  yield 'delete from t where id % 3 = 0 and id < 2500';
  yield 'vacuum t';
  yield "insert into t select g, repeat('a', 30 + g % 70) || g, '' from generate_series(1, 900) g";
  yield 'vacuum t';
  for (const block of [0, 5, 6, 100, 300]) yield `select brin_desummarize_range('t_t', ${block}), brin_desummarize_range('t_id', ${block})`;
  yield "select brin_summarize_range('t_t', 5)";
  yield 'create index t_multi on t using brin(id int4_minmax_multi_ops, t) with (pages_per_range = 4)';
  yield 'update t set id = -id where id % 11 = 0 and abs(id) < 2000';
}

test.each<ImageMode>(['no images', 'images'])('BRIN records replay to the pages PostgreSQL has (%s)', async (mode) => {
  const { verifier, fileDifferences } = await verifyWorkload({ checking: 'brin', statements: [...statements()] }, mode);
  process.stdout.write(`${coverageOf(verifier, 'BRIN')}\n`);
  expect(verifier.mismatches).toEqual([]);
  expect(fileDifferences).toEqual([]);
  expect(recordsNotMet(verifier, 'BRIN')).toEqual([]);
  expect([...verifier.coverage.keys()]).toEqual(expect.arrayContaining(['BRIN/INSERT+INIT', 'BRIN/UPDATE+INIT']));
});
