import { Client } from 'pg';
import { OWN_SESSIONS } from './client-sessions.ts';

export const SUPERUSER = 'postgres';
const APPLICATION_NAME = OWN_SESSIONS;

/** A local socket of PostgreSQL's, which only the agent and PostgreSQL's account reach. */
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

export interface SuperuserOptions {
  readonly database?: string;
  /** As it stands in pg_stat_activity. */
  readonly applicationName?: string;
  /** Beside those that every session of ours has; in the form of `-c`, blanks escaped. */
  readonly settings?: readonly string[];
  /** An answer that comes later fails its query, whatever PostgreSQL still does. Without it they are waited for. */
  readonly answerWithinMs?: number;
}

/** Connects as superuser; whoever asked for it ends it. */
export async function connectSuperuser(socket: LocalSocket, options: SuperuserOptions = {}): Promise<Client> {
  const { database = 'postgres', applicationName = APPLICATION_NAME, settings = [], answerWithinMs } = options;
  const client = new Client({
    host: socket.dir,
    port: socket.port,
    user: SUPERUSER,
    database,
    application_name: applicationName,
    options: [...SESSION_SETTINGS, ...settings].map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: 10_000,
    ...(answerWithinMs === undefined ? {} : { query_timeout: answerWithinMs }),
  });
  // A PostgreSQL that ends meanwhile fails the query under way; an unheard event would end the agent.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Ends a connection at once, also one that does not answer: nobody waits for that, and the server's side may be gone already. What is open is rolled back. */
export function letGo(client: Client): void {
  client.end().catch(() => undefined);
}

/** Does `work` on a connection of its own, as superuser. */
export async function withSuperuser<T>(socket: LocalSocket, work: (client: Client) => Promise<T>, database = 'postgres'): Promise<T> {
  const client = await connectSuperuser(socket, { database });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
