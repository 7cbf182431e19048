import type { Client, QueryResultRow } from 'pg';
import type { Cluster } from '../cluster-harness.ts';

/** The database that features work in, as superuser; each with tables of its own. */
export const DATABASE = 'plain';

/** The first session in a database reads its catalogs from the volume; a busy machine takes its time. */
const PATIENT = { connectionTimeoutMillis: 20_000 };

/**
 * Something that PostgreSQL can do. `make` runs once, then `check` both before the writer is killed and after, so it
 * must leave things as it found them; `after` runs once at the end and shows that they can still be changed.
 */
export interface Feature {
  readonly name: string;
  readonly make: (server: Server) => Promise<void>;
  readonly check: (server: Server) => Promise<void>;
  readonly after?: (server: Server) => Promise<void>;
}

/**
 * The cluster's PostgreSQL as features see it. Sessions that a feature leaves open are ended by {@link Server.close}.
 */
export class Server {
  readonly #cluster: Cluster;
  readonly #sessions: Client[] = [];
  #db: Client | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The superuser's session in {@link DATABASE}. Throws before {@link connect}. */
  get db(): Client {
    if (this.#db === undefined) throw new Error('not connected: call connect() first');
    return this.#db;
  }

  /** Ends all sessions and begins a new one. */
  async connect(): Promise<void> {
    await this.close();
    this.#db = await this.session();
    await this.#db.query("set lock_timeout = '5s'");
  }

  async session(user = 'postgres', database = DATABASE, password?: string): Promise<Client> {
    const client = await this.#cluster.connect(this.#cluster.writer, {
      ...PATIENT,
      user,
      database,
      ...(password === undefined ? {} : { password }),
    });
    this.#sessions.push(client);
    return client;
  }

  /** A session for as long as `work` takes. */
  readonly within = async <T>(database: string, work: (db: Client) => Promise<T>): Promise<T> => {
    const client = await this.#cluster.connect(this.#cluster.writer, { ...PATIENT, user: 'postgres', database });
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };

  async close(): Promise<void> {
    // A session that the kill cut off has nothing left to end.
    await Promise.all(this.#sessions.splice(0).map((client) => client.end().catch(() => undefined)));
    this.#db = undefined;
  }
}

/** Statements one by one, each a transaction of its own unless it says otherwise. */
export async function run(db: Client, ...statements: string[]): Promise<void> {
  for (const statement of statements) await db.query(statement);
}

/** The first column of the first row, as text (null stays null). */
export async function value(db: Client, text: string): Promise<string | null> {
  return (await column(db, text))[0] ?? null;
}

/** The first column, as texts. */
export async function column(db: Client, text: string): Promise<(string | null)[]> {
  const { rows } = await db.query<QueryResultRow>(text);
  return rows.map((row) => {
    const [first] = Object.values(row);
    return first === null || first === undefined ? null : String(first);
  });
}
