import { expect, test } from 'vitest';
import { coverageOf, type ImageMode, recordsNotMet, verifyWorkload } from '../verify/verify-workload.ts';

const statements = [
  'create extension bloom',
  'create table t(a int, b int); create index t_ab on t using bloom(a, b)',
  'insert into t select g, g * 3 from generate_series(1, 4000) g',
  'delete from t where a % 3 = 0',
  'vacuum t',
  'insert into t select g, g * 3 from generate_series(1, 3000) g',
  'create index t_a on t using bloom(a)',
];

test.each<ImageMode>(['no images', 'images'])(
  'generic records, of a bloom index, replay to the pages PostgreSQL has (%s)',
  async (mode) => {
    const { verifier, fileDifferences } = await verifyWorkload({ checking: 'generic', statements }, mode);
    process.stdout.write(`${coverageOf(verifier, 'GENERIC')}\n`);
    expect(verifier.mismatches).toEqual([]);
    expect(fileDifferences).toEqual([]);
    expect(recordsNotMet(verifier, 'GENERIC')).toEqual([]);
    expect(verifier.coverage.get('Generic/Generic')?.compared).toBeGreaterThan(5000);
  },
);
