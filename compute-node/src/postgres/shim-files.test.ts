import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildShim } from '../../native/build.mjs';

const NATIVE = join(import.meta.dirname, '..', '..', 'native');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync('/tmp/aurora-classify-');
  const sources = [join(NATIVE, 'test', 'classify.c'), join(NATIVE, 'files.c')];
  execFileSync('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', '-o', join(dir, 'classify'), ...sources]);
  mkdirSync(join(dir, 'base/5'), { recursive: true });
  writeFileSync(join(dir, 'base/5/700_init'), '');
}, 30_000);
afterAll(() => rmSync(dir, { recursive: true }));

const TABLESPACE = 'pg_tblspc/900/PG_18_202506291';
test('tells relations and WAL from everything else by path', () => {
  const expected: Record<string, string> = {
    'base/5/2619': 'relation 1663 5 2619 0 0',
    './base/5/2619_vm': 'relation 1663 5 2619 2 0',
    'base/5/2619.2': 'relation 1663 5 2619 0 262144',
    'base/5/2619_fsm': 'other',
    'base/5/2619_vm.1': 'relation 1663 5 2619 2 131072',
    'global/1262': 'relation 1664 0 1262 0 0',
    [`${TABLESPACE}/5/1234`]: 'relation 900 5 1234 0 0',
    'base/5/700': 'other',
    'base/5/700_vm': 'other',
    'base/5/700_init': 'relation 1663 5 700 3 0',
    'base/5/t3_1234': 'other',
    'base/5/PG_VERSION': 'other',
    'base/5/pg_filenode.map': 'other',
    'base/5/12x': 'other',
    'base/5/12.': 'other',
    'base/5/99999999999': 'other',
    'base/pgsql_tmp/pgsql_tmp12.0': 'other',
    'base/pgsql_tmp/pgsql_tmp12.0.sharedfileset/0.0': 'other',
    [`${TABLESPACE}/pgsql_tmp/pgsql_tmp1.0`]: 'other',
    'global/pg_control': 'other',
    'pg_wal/00000001000000020000003A': 'wal 23a000000',
    'pg_wal/00000001000000020000003A.partial': 'other',
    'pg_wal/xlogtemp.12': 'other',
    'pg_wal/00000002.history': 'other',
    'pg_xact/0000': 'other',
    '/etc/passwd': 'other',
  };
  const output = execFileSync(join(dir, 'classify'), Object.keys(expected), { cwd: dir, encoding: 'utf8' });
  expect(output.trimEnd().split('\n')).toEqual(Object.values(expected));
});

test('says what to do when there is no compiler', () => {
  expect(() => buildShim({ compiler: join(dir, 'no-such-cc'), output: join(dir, 'out') })).toThrow(/no C compiler: .*Install one/);
});
