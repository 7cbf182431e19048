/**
 * A ledger under attack. Clients move money between accounts and remember every commit that was acknowledged to them;
 * an auditor keeps reading and remembers every transfer that it was ever shown. In the end:
 *   1. every acknowledged transfer is there, once;
 *   2. every transfer that was shown is there;
 *   3. nothing is there that no client sent;
 *   4. the balances add up to zero and equal the sum of their transfers.
 */
import pg from 'pg';

export interface LedgerConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Certificate authority, in PEM, that must have issued the server's certificate for `host`. Without it the connection is in plain text. */
  readonly authority?: string | undefined;
}

export interface LedgerReport {
  readonly acknowledged: number;
  readonly unknown: number;
  readonly seen: number;
  /** Longest time, ms, that no client had a commit acknowledged. */
  readonly longestGapMs: number;
  /** Empty when the ledger adds up. */
  readonly violations: readonly string[];
}

const ACCOUNTS = 200;

/** Distinct for every transfer: client number and its own sequence. */
function transferKey(client: number, sequence: number): number {
  return client * 10_000_000 + sequence;
}

/** A client of a server, or of a Service. */
export async function connectTo(connection: LedgerConnection, queryTimeoutMs = 60_000): Promise<pg.Client> {
  const { authority, ...server } = connection;
  const ssl = authority === undefined ? {} : { ssl: { ca: authority } };
  const client = new pg.Client({ ...server, ...ssl, connectionTimeoutMillis: 5000, query_timeout: queryTimeoutMs });
  // A broken connection also rejects the query in flight; that is where it is handled.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Ledger {
  /** A connection to the writer, wherever that is now. */
  readonly #open: () => Promise<pg.Client>;
  readonly #onCommit: (atMs: number) => void;
  readonly #thinkMs: number;
  readonly #acknowledged = new Set<number>();
  readonly #sent = new Set<number>();
  readonly #seen = new Set<number>();
  #running = false;
  #workers: Promise<void>[] = [];
  #lastCommit = 0;
  #longestGapMs = 0;
  #cutShort = 0;

  /**
   * @param onCommit told of each acknowledged commit, with the time of performance.now()
   * @param thinkMs what each client waits between its transactions
   */
  constructor(open: () => Promise<pg.Client>, onCommit: (atMs: number) => void = () => undefined, thinkMs = 0) {
    this.#open = open;
    this.#onCommit = onCommit;
    this.#thinkMs = thinkMs;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Transactions that failed after they had begun: rolled back, or of unknown outcome. Who fails before has lost nothing but a connection. */
  get cutShort(): number {
    return this.#cutShort;
  }

  async create(): Promise<void> {
    const client = await this.#open();
    await client.query(`CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
      CREATE TABLE transfer (key bigint PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount int NOT NULL);
      INSERT INTO account SELECT g, 0 FROM generate_series(1, ${ACCOUNTS}) g`);
    await client.end();
  }

  start(clients: number): void {
    this.#running = true;
    this.#lastCommit = performance.now();
    this.#workers = [...Array.from({ length: clients }, (_unused, index) => this.#client(index + 1)), this.#auditor()];
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  /** Resolves when `count` more commits were acknowledged; rejects after `timeoutMs`. */
  async progress(count: number, timeoutMs: number): Promise<void> {
    const wanted = this.#acknowledged.size + count;
    const until = performance.now() + timeoutMs;
    while (this.#acknowledged.size < wanted) {
      if (performance.now() > until)
        throw new Error(`only ${count - (wanted - this.#acknowledged.size)} of ${count} commits in ${timeoutMs} ms`);
      await pause(10);
    }
  }

  async #client(number: number): Promise<void> {
    let connection: pg.Client | undefined;
    for (let sequence = 1; this.#running; sequence++) {
      const key = transferKey(number, sequence);
      let hasBegun = false;
      try {
        connection ??= await this.#open();
        const source = ((key * 7919) % ACCOUNTS) + 1;
        const target = ((key * 104_729) % ACCOUNTS) + 1;
        const amount = (key % 97) + 1;
        this.#sent.add(key);
        await connection.query('BEGIN');
        hasBegun = true;
        await connection.query('INSERT INTO transfer VALUES ($1, $2, $3, $4)', [key, source, target, amount]);
        // Always in the order of ids, so that clients cannot deadlock.
        const moves = [[source, -amount] as const, [target, amount] as const].sort((a, b) => a[0] - b[0]);
        for (const [id, change] of moves) await connection.query('UPDATE account SET balance = balance + $2 WHERE id = $1', [id, change]);
        await connection.query('COMMIT');
        this.#acknowledged.add(key);
        const now = performance.now();
        this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastCommit);
        this.#lastCommit = now;
        this.#onCommit(now);
        if (this.#thinkMs > 0) await pause(this.#thinkMs);
      } catch {
        if (hasBegun) this.#cutShort++;
        // The outcome of this transfer is unknown; it may or may not be there, and is never sent again.
        await this.#drop(connection);
        connection = undefined;
        await pause(20);
      }
    }
    await this.#drop(connection);
  }

  async #auditor(): Promise<void> {
    let connection: pg.Client | undefined;
    while (this.#running) {
      try {
        connection ??= await this.#open();
        const { rows } = await connection.query<{ key: string }>('SELECT key FROM transfer ORDER BY key % 10000000 DESC LIMIT 200');
        for (const { key } of rows) this.#seen.add(Number(key));
      } catch {
        await this.#drop(connection);
        connection = undefined;
      }
      await pause(50);
    }
    await this.#drop(connection);
  }

  async #drop(connection: pg.Client | undefined): Promise<void> {
    if (connection === undefined) return;
    // A connection whose server was killed or stopped may never answer its goodbye.
    await Promise.race([connection.end().catch(() => undefined), pause(200)]);
  }

  /** Reads everything back and compares it with what the clients remember. */
  async verify(): Promise<LedgerReport> {
    const client = await this.#open();
    const violations: string[] = [];
    const { rows } = await client.query<{ key: string; count: string }>('SELECT key, count(*) FROM transfer GROUP BY key');
    const present = new Set(rows.map((row) => Number(row.key)));
    for (const row of rows) if (Number(row.count) !== 1) violations.push(`transfer ${row.key} is there ${row.count} times`);
    for (const key of this.#acknowledged) if (!present.has(key)) violations.push(`acknowledged transfer ${key} is lost`);
    for (const key of this.#seen) if (!present.has(key)) violations.push(`transfer ${key} was shown and then lost`);
    for (const key of present) if (!this.#sent.has(key)) violations.push(`transfer ${key} was never sent`);
    const sums = await client.query<{ total: string; off: string }>(`
      WITH moved AS (
        SELECT id, sum(change) AS change FROM (
          SELECT source AS id, -amount AS change FROM transfer UNION ALL SELECT target, amount FROM transfer) m GROUP BY id)
      SELECT (SELECT sum(balance) FROM account) AS total,
        (SELECT count(*) FROM account a LEFT JOIN moved m USING (id) WHERE a.balance <> coalesce(m.change, 0)) AS off`);
    const row = sums.rows[0];
    if (row?.total !== '0') violations.push(`the balances add up to ${row?.total}, not 0`);
    if (row?.off !== '0') violations.push(`${row?.off} accounts differ from the sum of their transfers`);
    await client.end();
    return {
      acknowledged: this.#acknowledged.size,
      unknown: this.#sent.size - this.#acknowledged.size,
      seen: this.#seen.size,
      longestGapMs: Math.round(this.#longestGapMs),
      violations: violations.slice(0, 20),
    };
  }
}
