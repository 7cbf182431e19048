import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SANITIZERS } from '../../native/build.mjs';

const NATIVE = join(import.meta.dirname, '..', '..', 'native');
const PARTS = ['pages.c', 'stripes.c', 'cache.c', 'judge.c', 'settle.c', 'evict.c', 'files.c', 'standby.c', 'role.c'];

test('an eviction comes not before it may, and hurts nobody who reads or fetches at that moment', () => {
  const dir = mkdtempSync('/tmp/aurora-evict-');
  try {
    mkdirSync(join(dir, 'base/5'), { recursive: true });
    const sources = [join(NATIVE, 'test', 'evict.c'), ...PARTS.map((part) => join(NATIVE, part))];
    execFileSync('cc', ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', ...SANITIZERS, '-o', join(dir, 'evict'), ...sources]);
    const run = (...how: string[]): string[] => execFileSync(join(dir, 'evict'), how, { cwd: dir, encoding: 'utf8' }).trimEnd().split('\n');
    expect(run('standby')).toEqual([
      'under replay: a',
      'replayed: .',
      'read again: a, asked at +1000 and +1000',
      'lost blocks: nothing read ahead below +2000',
    ]);
    expect(run('along')).toEqual([
      'while it is read itself: read 8192, o',
      'nothing: read o, the next o, 2 in the file',
      'it was written: read o, the next n, 2 in the file',
      'it was written and evicted: read o, the next ., 2 in the file',
      'blocks were lost: read o, the next ., 2 in the file',
      'past the end: read o, the next ?, 1 in the file',
    ]);
    const said = run();
    expect(said).toEqual([
      // Its LSN is durable, and what changed it without an LSN is not.
      'not durable: a',
      'a transaction runs: a',
      'may go: ., 0 left',
      'read again: a, asked at +5000 and +5000',
      'kept: a',
      'evicted in the middle of a read: a',
      'evicted while it was fetched: read 8192, in the file .',
      'unlogged: b, 0 left',
    ]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
