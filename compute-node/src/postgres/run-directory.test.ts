import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeRunDirectory, RunDirectoryError, SOCKET_PATH_MAX } from './run-directory.ts';

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

describe('makeRunDirectory', () => {
  it('stays beside the data where the path is short, and is private', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ka-'));
    made.push(dir);
    expect(makeRunDirectory(dir, undefined)).toBe(join(dir, 'run'));
    expect(statSync(join(dir, 'run')).mode & 0o777).toBe(0o700);
  });

  it('moves to a short path, the same one each time, when a socket would not fit', () => {
    const dir = `/srv/${'long/'.repeat(30)}`;
    const directory = makeRunDirectory(dir, undefined);
    made.push(directory);
    expect(`${directory}/.s.PGSQL.65535`.length).toBeLessThanOrEqual(SOCKET_PATH_MAX);
    expect(makeRunDirectory(dir, undefined)).toBe(directory);
  });

  it('refuses what somebody else may have put there', () => {
    const dir = `/srv/${'other/'.repeat(30)}`;
    const directory = makeRunDirectory(dir, undefined);
    rmSync(directory, { recursive: true });
    symlinkSync(tmpdir(), directory);
    made.push(directory);
    expect(() => makeRunDirectory(dir, undefined)).toThrow(RunDirectoryError);
  });
});
