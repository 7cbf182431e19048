import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ENGINE, ENGINE_NAME } from '../engine.ts';
import type { Account } from './account.ts';

/** The stock PostgreSQL's programs. */
export interface Installation {
  readonly postgres: string;
  readonly initdb: string;
}

export class InstallationError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InstallationError';
  }
}

/**
 * The installation with its `bin` directory at `bin`, at a place that `account` may execute. One under root's home is
 * closed to others: then a copy is made below `copyTo`, once. Throws InstallationError when its programs cannot be run,
 * or are of another major version than this compute's.
 */
export function postgresInstallation(bin: string, account: Account | undefined, copyTo: string): Installation {
  const original = programs(bin);
  const answer = versionOf(original.postgres, account);
  if (answer.kind === 'version') return ofOurMajor(original, answer.text);
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
  const ofCopy = versionOf(copy.postgres, account);
  if (ofCopy.kind === 'version') return ofOurMajor(copy, ofCopy.text);
  throw new InstallationError(`${account === undefined ? 'this user' : `uid ${account.uid}`} cannot run ${copy.postgres}: ${ofCopy.why}`);
}

function programs(bin: string): Installation {
  return { postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb') };
}

type VersionAnswer = { readonly kind: 'version'; readonly text: string } | { readonly kind: 'refused'; readonly why: string };

function versionOf(program: string, account: Account | undefined): VersionAnswer {
  const { error, status, stdout, stderr } = spawnSync(program, ['--version'], { ...account, cwd: '/', encoding: 'utf8', timeout: 10_000 });
  if (error !== undefined) return { kind: 'refused', why: error.message };
  return status === 0 ? { kind: 'version', text: stdout.trim() } : { kind: 'refused', why: stderr.trim() };
}

/** `version` as the program tells it: `postgres (PostgreSQL) 18.4`. */
function ofOurMajor(installation: Installation, version: string): Installation {
  if (Number(/\(PostgreSQL\) (\d+)/.exec(version)?.[1]) === ENGINE.major) return installation;
  throw new InstallationError(
    `${installation.postgres} is '${version}', and this compute runs ${ENGINE_NAME}: let AURORA_PG_BIN name the bin directory of one`,
  );
}
