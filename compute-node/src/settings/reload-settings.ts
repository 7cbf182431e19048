import { chown, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import type { Account } from '../postgres/account.ts';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

const POLL_MS = 50;
const RELOAD_WITHIN_MS = 15_000;

export interface ReloadTarget {
  readonly dataDir: string;
  readonly account: Account | undefined;
  readonly socket: LocalSocket;
  readonly clock: Clock;
}

/** Replaces a file of the data directory; nobody reads half of one. */
export async function replaceFile(
  { dataDir, account }: Pick<ReloadTarget, 'dataDir' | 'account'>,
  name: string,
  text: string,
): Promise<void> {
  const path = join(dataDir, name);
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  if (account !== undefined) await chown(`${path}.new`, account.uid, account.gid);
  await rename(`${path}.new`, path);
}

/**
 * Gives a running PostgreSQL another configuration: a new postgresql.conf, then its reload (SIGHUP), as `pg_ctl
 * reload` does; it reads pg_hba.conf and its certificate again with it. Resolves, once the postmaster has read it, to the
 * names of settings that only a restart changes; empty when all are in effect. Rejects when PostgreSQL cannot be asked or
 * does not answer in time; doing it again does no harm.
 */
export async function reloadConfiguration(target: ReloadTarget, file: string): Promise<readonly string[]> {
  const { socket, clock } = target;
  await replaceFile(target, 'postgresql.conf', file);
  const before = await withSuperuser(socket, async (client) => {
    const { rows } = await client.query<{ at: string }>('select pg_conf_load_time()::text as at');
    await client.query('select pg_reload_conf()');
    return rows[0]?.at;
  });
  const deadline = clock.now() + RELOAD_WITHIN_MS;
  for (;;) {
    // Each look is a new connection: it inherits what the postmaster has read.
    const seen = await withSuperuser(socket, async (client) => {
      const { rows } = await client.query<{ at: string; waiting: string[] }>(
        `select pg_conf_load_time()::text as at, array(select name::text from pg_settings where pending_restart order by name) as waiting`,
      );
      return rows[0];
    });
    if (seen !== undefined && seen.at !== before) return seen.waiting;
    if (clock.now() > deadline) throw new Error(`PostgreSQL did not reload its configuration within ${RELOAD_WITHIN_MS} ms`);
    await clock.sleep(POLL_MS);
  }
}

/**
 * Settings of the file that have no effect although PostgreSQL knows them. It checks those of a library only when it
 * loads the library, and then warns and goes on with their defaults.
 */
export async function ignoredSettings(socket: LocalSocket, names: readonly string[]): Promise<readonly string[]> {
  return withSuperuser(socket, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select name from pg_settings where lower(name) = any ($1) and source = 'default' order by name`,
      [names],
    );
    return rows.map(({ name }) => name);
  });
}
