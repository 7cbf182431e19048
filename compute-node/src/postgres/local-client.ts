import { Client } from 'pg';

export const SUPERUSER = 'postgres';

/** PostgreSQL's local socket, which only the agent and PostgreSQL's account reach. */
export interface LocalSocket {
  readonly dir: string;
  readonly port: number;
}

/** What a cluster sets for its sessions must not stop the agent's own. */
const SESSION_SETTINGS = [
  'default_transaction_read_only=off',
  'default_transaction_isolation=read\\ committed',
  'statement_timeout=0',
  'transaction_timeout=0',
  'lock_timeout=10s',
  'idle_session_timeout=0',
  'session_replication_role=origin',
  'search_path=pg_catalog',
];

/** Does `work` on a connection of its own, as superuser. */
export async function withSuperuser<T>(socket: LocalSocket, work: (client: Client) => Promise<T>, database = 'postgres'): Promise<T> {
  const client = new Client({
    host: socket.dir,
    port: socket.port,
    user: SUPERUSER,
    database,
    application_name: 'kube-aurora',
    options: SESSION_SETTINGS.map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: 10_000,
  });
  // A PostgreSQL that ends meanwhile fails the query under way; an unheard event would end the agent.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
