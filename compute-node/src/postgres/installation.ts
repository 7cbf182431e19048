import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Account } from './account.ts';

/** The stock PostgreSQL's programs. */
export interface Installation {
  readonly postgres: string;
  readonly initdb: string;
}

export class InstallationError extends Error {
  constructor(program: string, account: Account | undefined, why: string) {
    super(`${account === undefined ? 'this user' : `uid ${account.uid}`} cannot run ${program}: ${why}`);
    this.name = 'InstallationError';
  }
}

/**
 * The installation with its `bin` directory at `bin`, at a place that `account` may execute. One under root's home is
 * closed to others: then a copy is made below `copyTo`, once.
 */
export function postgresInstallation(bin: string, account: Account | undefined, copyTo: string): Installation {
  const original = programs(bin);
  if (refusal(original.postgres, account) === undefined) return original;
  const target = join(copyTo, 'postgresql');
  const copy = programs(join(target, 'bin'));
  if (!existsSync(target)) {
    const unfinished = `${target}.${process.pid}`;
    mkdirSync(copyTo, { recursive: true });
    cpSync(dirname(bin), unfinished, { recursive: true, verbatimSymlinks: true });
    chmodSync(unfinished, 0o755);
    try {
      renameSync(unfinished, target);
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true });
      if (!existsSync(target)) throw error;
    }
  }
  const why = refusal(copy.postgres, account);
  if (why !== undefined) throw new InstallationError(copy.postgres, account, why);
  return copy;
}

function programs(bin: string): Installation {
  return { postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb') };
}

function refusal(program: string, account: Account | undefined): string | undefined {
  const { error, status, stderr } = spawnSync(program, ['--version'], { ...account, cwd: '/', encoding: 'utf8', timeout: 10_000 });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : stderr.trim();
}
