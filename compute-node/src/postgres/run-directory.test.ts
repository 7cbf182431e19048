import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeRunDirectory, removeAbandonedRunDirectories, RunDirectoryError, SOCKET_PATH_MAX } from './run-directory.ts';

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

  it('goes when what it belongs to is gone, and no other does', () => {
    const root = mkdtempSync(join(tmpdir(), 'ka-'));
    const stranger = join(tmpdir(), `kube-aurora-stranger-${process.pid}`);
    made.push(root, stranger);
    const [here, gone] = ['here', 'gone'].map((name) => join(root, name, 'long/'.repeat(30)));
    if (here === undefined || gone === undefined) throw new Error('no paths');
    for (const dir of [here, gone]) mkdirSync(dir, { recursive: true });
    const [kept, abandoned] = [here, gone].map((dir) => makeRunDirectory(dir, undefined));
    if (kept === undefined || abandoned === undefined) throw new Error('no directories');
    made.push(kept, abandoned);
    mkdirSync(stranger);
    rmSync(join(root, 'gone'), { recursive: true });
    const removed = removeAbandonedRunDirectories(undefined);
    expect(removed).toContain(abandoned);
    expect(existsSync(abandoned)).toBe(false);
    expect([kept, stranger].map((directory) => existsSync(directory))).toEqual([true, true]);
  });

  it('moves to a plain path when this one would be cut in a list of libraries or of directories', () => {
    for (const name of ['with space', 'with:colon', 'with,comma', 'Ünï']) {
      const dir = mkdtempSync(join(tmpdir(), `ka ${name}-`));
      const directory = makeRunDirectory(dir, undefined);
      made.push(dir, directory);
      expect(directory).toMatch(/^[\w./-]+$/);
    }
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
