/**
 * Makes a new volume's content: initdb, the application's role and database, a clean stop, and what is then on disk.
 */
import { execFile } from 'node:child_process';
import { appendFile, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { PageId, VolumeState } from '@kube-aurora/redo';
import type { Account } from './account.ts';
import { readBaseImage } from './base-image.ts';
import type { Installation } from './installation.ts';
import type { InitdbOptions } from './initdb-options.ts';
import { fillNewDatabase, type Application } from './initial-database.ts';
import { initialSettings } from './initial-settings.ts';
import { SUPERUSER } from './local-client.ts';
import { makeRunDirectory } from './run-directory.ts';
import { configurationFile } from './parameters.ts';
import { LOCAL_PORT, startPostgres } from './supervise.ts';

const INITDB_WITHIN_MS = 120_000;

export interface InitialVolumeOptions {
  readonly installation: Installation;
  readonly account: Account | undefined;
  /** Deleted before and after; needs about 50 MB. Keep its path short: it holds a Unix socket. */
  readonly scratchDir: string;
  readonly application: Application;
  readonly initdb: InitdbOptions;
  /** PostgreSQL's parameters while the statements run, checked. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly logger: Logger;
}

export interface InitialVolume {
  /** End of the shutdown checkpoint: the state and the pages are as of here, and the next record goes here. */
  readonly baseLsn: Lsn;
  readonly systemIdentifier: bigint;
  readonly state: VolumeState;
  /** Every page that is not zeros. May be called again until `discard`. */
  readonly pages: () => Generator<{ readonly page: PageId; readonly bytes: Buffer }>;
  /** Deletes the scratch directory. */
  discard(): Promise<void>;
}

export class InitdbError extends Error {
  constructor(why: string) {
    super(`initdb failed: ${why}`);
    this.name = 'InitdbError';
  }
}

/**
 * Roles have no passwords yet: RolePasswords sets them at each start. Throws {@link InitdbError}, InitialSqlError,
 * PostgresStartError.
 */
export async function createInitialVolume(options: InitialVolumeOptions): Promise<InitialVolume> {
  const { installation, account, scratchDir, logger } = options;
  const dataDir = join(scratchDir, 'pgdata');
  await rm(scratchDir, { recursive: true, force: true });
  await mkdir(scratchDir, { recursive: true, mode: 0o700 });
  if (account !== undefined) await chown(scratchDir, account.uid, account.gid);
  const socketDir = makeRunDirectory(scratchDir, account);
  await runInitdb(installation.initdb, dataDir, account, options.initdb.flags);
  const settings = initialSettings(dataDir);
  await appendFile(join(dataDir, 'postgresql.conf'), configurationFile(options.parameters));
  const postgres = startPostgres({
    postgres: installation.postgres,
    dataDir,
    socketDir,
    listen: undefined,
    account,
    imageResourceManagers: [],
    shim: undefined,
    logger,
    // Nothing here has to survive a crash: then it is made again.
    overrides: { fsync: 'off', autovacuum: 'off' },
  });
  try {
    await postgres.ready;
    await fillNewDatabase({ dir: socketDir, port: LOCAL_PORT }, options.application, options.initdb.sql);
    const { code } = await postgres.stop('fast');
    if (code !== 0) throw new InitdbError(`PostgreSQL stopped with code ${code}\n${postgres.recentLog().slice(-20).join('\n')}`);
  } catch (error) {
    await postgres.kill();
    throw error;
  }
  const { control, state, pages } = readBaseImage(dataDir);
  for (const [name, value] of settings) state.settings.set(name, value);
  return {
    baseLsn: state.endLsn,
    systemIdentifier: control.systemIdentifier,
    state,
    pages,
    discard: () => rm(scratchDir, { recursive: true, force: true }),
  };
}

async function runInitdb(initdb: string, dataDir: string, account: Account | undefined, flags: readonly string[]): Promise<void> {
  const options = [
    `--pgdata=${dataDir}`,
    `--username=${SUPERUSER}`,
    ...flags,
    '--no-data-checksums',
    '--auth-local=trust',
    '--auth-host=scram-sha-256',
    '--no-sync',
    '--no-instructions',
  ];
  try {
    // The time zone is that of the server (supervise.ts), not whatever this machine's /etc/localtime says.
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: process.env['TZ'] ?? 'UTC' };
    await promisify(execFile)(initdb, options, { ...account, cwd: '/', env, timeout: INITDB_WITHIN_MS });
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new InitdbError(output === '' ? String(error) : output);
  }
}
