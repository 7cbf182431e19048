import { Client } from 'pg';
import { letGo, SUPERUSER, type LocalSocket } from './local-client.ts';

/**
 * Connects to a walsender by the agent's own socket, as superuser, in the role of a physical standby; whoever asked for it ends it. `name`
 * stands in pg_stat_replication; `settings` are in the form of `-c`. Rejects where PostgreSQL has none to spare (max_wal_senders).
 */
export async function connectReplication(socket: LocalSocket, name: string, settings: readonly string[] = []): Promise<Client> {
  // The types of `pg` leave `replication` out.
  const config = {
    host: socket.dir,
    port: socket.port,
    user: SUPERUSER,
    replication: 'true',
    application_name: name,
    options: ['idle_session_timeout=0', ...settings].map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: 10_000,
  };
  const client = new Client(config);
  // A PostgreSQL that ends meanwhile fails the command under way; an unheard event would end the agent.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    letGo(client);
    throw error;
  }
  return client;
}

/** Where its WAL is flushed up to, as START_REPLICATION takes it. */
export async function flushedLsn(client: Client): Promise<string> {
  const { rows } = await client.query<{ xlogpos: string }>('IDENTIFY_SYSTEM');
  const [system] = rows;
  if (system === undefined) throw new Error('IDENTIFY_SYSTEM answered nothing');
  return system.xlogpos;
}
