import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildShim, SANITIZERS } from '../../native/build.mjs';

const NATIVE = join(import.meta.dirname, '..', '..', 'native');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync('/tmp/aurora-classify-');
  const sources = [join(NATIVE, 'test', 'classify.c'), join(NATIVE, 'files.c')];
  execFileSync('cc', ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', ...SANITIZERS, '-o', join(dir, 'classify'), ...sources]);
  mkdirSync(join(dir, 'base/5'), { recursive: true });
  writeFileSync(join(dir, 'base/5/700_init'), '');
});
afterAll(() => rmSync(dir, { recursive: true }));

/** One line for each path, by the shim's own code, compiled with the sanitizers: a finding ends it with an error. */
function classify(paths: readonly string[]): string[] {
  return execFileSync(join(dir, 'classify'), paths, { cwd: dir, encoding: 'utf8' }).trimEnd().split('\n');
}

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
  expect(classify(Object.keys(expected))).toEqual(Object.values(expected));
});

test('no path makes it read or write where it must not, and only what is shaped like a relation or WAL is taken for one', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'base/',
      'global/',
      'pg_tblspc/',
      'pg_wal/',
      './',
      '/PG_18_202506291/',
      'PG_',
      '_vm',
      '_init',
      '_fsm',
      '.',
      '/',
      't3_',
      '..',
    ),
    fc.nat({ max: 2 ** 33 }).map(String),
    fc.nat({ max: 2 ** 32 - 1 }).map((n) => n.toString(16).toUpperCase().padStart(8, '0')),
    fc.constantFrom('9'.repeat(300), 'A'.repeat(24), '0'.repeat(255)),
    fc.string({ maxLength: 8 }).map((text) => text.replaceAll('\0', '')),
  );
  const path = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  const relation = /^(\.\/)?(base\/\d+\/|global\/|pg_tblspc\/\d+\/PG_[^/]*\/\d+\/)\d+(_vm|_init)?(\.\d+)?$/;
  const wal = /^(\.\/)?pg_wal\/[0-9A-F]{24}$/;
  fc.assert(
    fc.property(fc.array(path, { minLength: 1, maxLength: 200 }), (paths) => {
      classify(paths).forEach((found, index) => {
        const text = paths[index] ?? '';
        if (found.startsWith('relation')) expect(text).toMatch(relation);
        if (found.startsWith('wal')) expect(text).toMatch(wal);
        if (wal.test(text)) expect(found).toMatch(/^wal/);
      });
    }),
    { numRuns: 60 },
  );
});

test('says what to do when there is no compiler', () => {
  expect(() => buildShim({ compiler: join(dir, 'no-such-cc'), output: join(dir, 'out') })).toThrow(/no C compiler: .*Install one/);
});
