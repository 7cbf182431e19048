/** Clients through every endpoint of a cluster, each with a seed of its own. They connect anew whenever a connection is of no more use. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Operation } from '../history/history.ts';
import { wrongIn } from './amcheck-client.ts';
import { accountsOf, checkedTables, GROUP_ACCOUNTS, Lists, type BankTable } from './history-tables.ts';
import type { HistoryRecorder, Session } from './history-recorder.ts';
import { connectTo, type LedgerConnection } from './ledger.ts';
import { SeededRandom } from './random.ts';

/** Longer than a paused agent's PostgreSQL keeps its clients waiting: what it says when it goes on is part of the history. */
const QUERY_MS = 12_000;
const CLOSE_MS = 200;
/** Of the snapshots, so many sum up every group of a bank: of the large one that is more pages than a cache holds. */
const WHOLE_BANKS = 0.03;
const BETWEEN_CHECKS_MS = [200, 600] as const;

export interface Address {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export interface Endpoints {
  readonly rw: Address;
  readonly ro: Address;
  readonly r: Address;
  /** Those that there are now, by name. */
  readonly instances: () => readonly Address[];
}

export interface ClientOptions {
  readonly seed: number;
  readonly endpoints: Endpoints;
  readonly as: Pick<LedgerConnection, 'user' | 'password' | 'database'>;
  readonly banks: readonly BankTable[];
  readonly recorder: HistoryRecorder;
}

type Body = (name: string, session: Session, random: SeededRandom) => Promise<boolean>;
type Choice = (random: SeededRandom) => Address | undefined;

export class HistoryClients {
  readonly #options: ClientOptions;
  readonly #lists = new Lists();
  readonly #running: Promise<void>[] = [];
  #isStopping = false;
  #sessions = 0;
  #tags = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { rw, ro, r, instances } = options.endpoints;
    const byService: Choice = () => rw;
    // As libpq does with several hosts: one that is no writer refuses, and the next is tried.
    const byHosts: Choice = (random) => (instances().length === 0 ? undefined : random.pick(instances()));
    for (const [name, choice] of [
      ['rw', byService],
      ['hosts', byHosts],
    ] as const) {
      for (let one = 1; one <= 2; one++) this.#start(`${name}-lists-${one}`, choice, this.#changeLists);
      this.#start(`${name}-bank`, choice, this.#moveMoney);
      this.#start(`${name}-ids`, choice, this.#takeId);
    }
    this.#start('ro', () => ro, this.#look);
    this.#start('r', () => r, this.#look);
    for (const { name } of instances())
      for (let one = 1; one <= 2; one++)
        this.#start(`${name}-${one}`, () => instances().find((address) => address.name === name), this.#look);
    // Last, so that the others have the seeds that they had without.
    for (const { name } of instances())
      this.#start(`${name}-amcheck`, () => instances().find((address) => address.name === name), this.#check);
  }

  /** Resolves when the last of them has its answer, or has given it up. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  /** Everything as it is in the end, seen by one transaction at the writer and one on each reader. Throws when an instance does not answer. */
  async lookAtAll(): Promise<void> {
    for (const address of this.#options.endpoints.instances()) {
      const session = await this.#open(address);
      const { connection } = session;
      const { recorder, banks } = this.#options;
      await recorder.look(`last-${address.name}`, session, async (operations) => {
        const lists = await connection.query<{ key: number; items: number[] }>('SELECT key, items FROM list ORDER BY key');
        for (const { key, items } of lists.rows) operations.push({ kind: 'read', key, items });
        const taken = await connection.query<{ id: string; tag: number }>('SELECT id, tag FROM taken ORDER BY id');
        operations.push({ kind: 'taken', ids: taken.rows.map(({ id, tag }) => [Number(id), tag]) });
        for (const bank of banks) operations.push(...(await readBank(connection, bank)));
        for (const table of checkedTables(banks))
          operations.push({ kind: 'checked', table, wrong: await wrongIn(connection, table, () => 0) });
      });
      await close(connection);
    }
  }

  #start(name: string, choice: Choice, body: Body): void {
    this.#running.push(this.#run(name, choice, body, new SeededRandom(this.#options.seed * 1000 + this.#running.length)));
  }

  async #run(name: string, choice: Choice, body: Body, random: SeededRandom): Promise<void> {
    let session: Session | undefined;
    while (!this.#isStopping) {
      session ??= await this.#tryOpen(choice(random));
      if (session === undefined) await delay(random.integer(50, 250));
      else if (!(await body(name, session, random))) {
        await close(session.connection);
        session = undefined;
      }
      await delay(random.integer(5, 40));
    }
    if (session !== undefined) await close(session.connection);
  }

  async #tryOpen(address: Address | undefined): Promise<Session | undefined> {
    if (address === undefined) return undefined;
    try {
      return await this.#open(address);
    } catch (error) {
      if (error instanceof Error) return undefined;
      throw error;
    }
  }

  async #open({ name, host, port }: Address): Promise<Session> {
    const connection = await connectTo({ ...this.#options.as, host, port }, QUERY_MS);
    return { connection, number: ++this.#sessions, instance: name };
  }

  readonly #changeLists: Body = (name, session, random) =>
    this.#options.recorder.write(name, session, 'serializable', async (operations) => {
      for (const key of this.#lists.keys(random, random.integer(1, 3))) {
        if (random.next() < 0.4) {
          const { rows } = await session.connection.query<{ items: number[] }>('SELECT items FROM list WHERE key = $1', [key]);
          operations.push({ kind: 'read', key, items: rows[0]?.items ?? [] });
        }
        if (random.next() < 0.7) {
          const append = this.#lists.append(key);
          // Noted before it is sent: it may be there whatever comes back.
          operations.push(append);
          await session.connection.query(
            'INSERT INTO list VALUES ($1, ARRAY[$2::int]) ON CONFLICT (key) DO UPDATE SET items = list.items || EXCLUDED.items',
            [key, append.value],
          );
        }
      }
    });

  readonly #moveMoney: Body = (name, session, random) =>
    this.#options.recorder.write(name, session, 'committed', async (operations) => {
      const bank = random.pick(this.#options.banks);
      const group = random.integer(0, bank.groups - 1);
      const accounts = accountsOf(bank, group);
      const [from, to] = [random.pick(accounts), random.pick(accounts)];
      const amount = random.integer(1, 20);
      operations.push({ kind: 'move', bank: bank.name, group, amount });
      // In the order of ids, so that two do not wait for each other.
      for (const [id, change] of [[from, -amount] as const, [to, amount] as const].toSorted((a, b) => a[0] - b[0]))
        await session.connection.query(`UPDATE ${bank.name} SET balance = balance + $2 WHERE id = $1`, [id, change]);
    });

  readonly #takeId: Body = (name, session) =>
    this.#options.recorder.write(name, session, 'committed', async (operations) => {
      const tag = ++this.#tags;
      operations.push({ kind: 'take', tag, id: undefined });
      const { rows } = await session.connection.query<{ id: string }>("INSERT INTO taken VALUES (nextval('ids'), $1) RETURNING id", [tag]);
      operations[0] = { kind: 'take', tag, id: Number(rows[0]?.id) };
    });

  readonly #check: Body = async (name, session, random) => {
    const table = random.pick(checkedTables(this.#options.banks));
    const goesOn = await this.#options.recorder.look(name, session, async (operations) => {
      operations.push({ kind: 'checked', table, wrong: await wrongIn(session.connection, table, () => random.next()) });
    });
    await delay(random.integer(...BETWEEN_CHECKS_MS));
    return goesOn;
  };

  readonly #look: Body = (name, session, random) =>
    this.#options.recorder.look(name, session, async (operations) => {
      const { connection } = session;
      const lists = this.#lists.keys(random, 6);
      const middle = random.integer(0, lists.length);
      // In two statements, so that a snapshot has the time to be none.
      for (const keys of [lists.slice(0, middle), lists.slice(middle)]) {
        for (const read of await readLists(connection, keys)) operations.push({ kind: 'read', ...read });
        await delay(random.integer(0, 15));
      }
      const bank = random.pick(this.#options.banks);
      if (random.next() < WHOLE_BANKS) operations.push(...(await readBank(connection, bank)));
      const group = random.integer(0, bank.groups - 1);
      const accounts = accountsOf(bank, group);
      const half = random.integer(1, GROUP_ACCOUNTS - 1);
      const balances = [
        ...(await readBalances(connection, bank, accounts.slice(0, half))),
        ...(await readBalances(connection, bank, accounts.slice(half))),
      ];
      operations.push({ kind: 'balances', bank: bank.name, group, balances });
    });
}

async function readLists(connection: pg.Client, keys: readonly number[]): Promise<{ key: number; items: number[] }[]> {
  if (keys.length === 0) return [];
  const { rows } = await connection.query<{ key: number; items: number[] | null }>(
    'SELECT k.key, l.items FROM unnest($1::int[]) AS k (key) LEFT JOIN list l USING (key)',
    [keys],
  );
  return rows.map(({ key, items }) => ({ key, items: items ?? [] }));
}

async function readBalances(connection: pg.Client, { name }: BankTable, ids: readonly number[]): Promise<number[]> {
  const { rows } = await connection.query<{ balance: number }>(`SELECT balance FROM ${name} WHERE id = ANY ($1::int[]) ORDER BY id`, [ids]);
  return rows.map(({ balance }) => balance);
}

async function readBank(connection: pg.Client, { name: bank }: BankTable): Promise<Operation[]> {
  const { rows } = await connection.query<{ grp: number; balances: number[] }>(
    `SELECT grp, array_agg(balance ORDER BY id) AS balances FROM ${bank} GROUP BY grp`,
  );
  return rows.map(({ grp: group, balances }) => ({ kind: 'balances', bank, group, balances }));
}

/** A server that was killed or stopped may never answer a goodbye. */
async function close(connection: pg.Client): Promise<void> {
  await Promise.race([connection.end().catch(() => undefined), delay(CLOSE_MS)]);
}
