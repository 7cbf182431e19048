/**
 * A client of a cluster, in a pod of its own: a small ledger's load through NAME-rw, and beside it four new connections
 * a second that commit one row each. What it sees goes to standard output, one JSON object a line (`observation.ts`). At
 * SIGTERM it reads everything back and says whether the ledger adds up. Everything about the server is in the environment, as libpq has it; where
 * PGSSLROOTCERT names a file that is there, connections are as with sslmode=verify-full.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { connectTo, Ledger } from '../faults/ledger.ts';
import type { Observation } from './observation.ts';

const PROBE_EVERY_MS = 250;
/** A server that is slow must not be made slower by who asks how it is. */
const PROBES_AT_ONCE_MAX = 20;
/** A statement that takes longer is on a connection to nobody. */
const ANSWER_MS = 5000;
/** To make the tables. */
const SETUP_MS = 60_000;
/** Between a client's transactions: the load is there to notice what is lost, not to keep processors busy. */
const THINK_MS = 50;
const CLIENTS = 3;
/** Commits follow one another by some tenths of a second at most; what is longer than this is told. */
const GAP_MS = 500;

const { env } = process;
const server = {
  host: env['PGHOST'] ?? '',
  port: Number(env['PGPORT'] ?? 5432),
  user: env['PGUSER'] ?? '',
  password: env['PGPASSWORD'] ?? '',
  database: env['PGDATABASE'] ?? '',
};

/** Read for each connection: it changes while we run. Undefined: the cluster has none. */
function authority(): string | undefined {
  try {
    return readFileSync(env['PGSSLROOTCERT'] ?? '', 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function connect(queryTimeoutMs: number): Promise<pg.Client> {
  const trusted = authority();
  if (trusted === undefined) counts.plain += 1;
  return connectTo({ ...server, authority: trusted }, queryTimeoutMs);
}

const tell = (observation: Observation): void => void process.stdout.write(`${JSON.stringify({ at: Date.now(), ...observation })}\n`);

/** Tells of each time that was long without a commit, once it is over. */
class Gaps {
  readonly #of: 'new' | 'held';
  #last: number | undefined;

  /** @param of commits on new connections, or on those that are held */
  constructor(of: 'new' | 'held') {
    this.#of = of;
  }

  note(): void {
    const now = Date.now();
    if (this.#last !== undefined && now - this.#last > GAP_MS) tell({ kind: 'gap', of: this.#of, from: this.#last, to: now });
    this.#last = now;
  }
}

const probed = new Gaps('new');
const held = new Gaps('held');
const counts = { new: 0, held: 0, plain: 0 };
/** Of the ledger, as it was told of last. */
let cutShort = 0;
/** Of the present second: what connections were refused with. */
const errors = new Map<string, number>();
let stopping = false;

async function probe(): Promise<void> {
  let client: pg.Client | undefined;
  try {
    client = await connect(ANSWER_MS);
    await client.query('INSERT INTO probe DEFAULT VALUES');
    counts.new += 1;
    probed.note();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = 'code' in error && typeof error.code === 'string' ? `${error.code} ` : '';
    const text = `${code}${error.message}`;
    errors.set(text, (errors.get(text) ?? 0) + 1);
  } finally {
    void client?.end().catch(() => undefined);
  }
}

async function probing(): Promise<void> {
  const running = new Set<Promise<void>>();
  while (!stopping) {
    if (running.size < PROBES_AT_ONCE_MAX) {
      const one: Promise<void> = probe().finally(() => running.delete(one));
      running.add(one);
    }
    await delay(PROBE_EVERY_MS);
  }
  await Promise.race([Promise.all(running), delay(ANSWER_MS)]);
}

async function untilDone(what: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await what();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      tell({ kind: 'waiting', message: error.message });
      await delay(1000);
    }
  }
}

let answerMs = SETUP_MS;
const ledger = new Ledger(
  () => connect(answerMs),
  () => {
    counts.held += 1;
    held.note();
  },
  THINK_MS,
);
const everySecond = setInterval(() => {
  tell({ kind: 'second', ...counts, failed: ledger.cutShort - cutShort, errors: Object.fromEntries(errors) });
  Object.assign(counts, { new: 0, held: 0, plain: 0 });
  cutShort = ledger.cutShort;
  errors.clear();
}, 1000);

process.on('SIGTERM', () => void end());

async function end(): Promise<void> {
  stopping = true;
  await ledger.stop();
  answerMs = SETUP_MS;
  await untilDone(async () => tell({ kind: 'verdict', ...(await ledger.verify()) }));
  clearInterval(everySecond);
  process.exit();
}

// Nobody writes before all of it is done, so that it may be done again when an answer was lost; a trial before this one may have left its own.
await untilDone(async () => {
  const client = await connect(SETUP_MS);
  await client.query('DROP TABLE IF EXISTS account, transfer; CREATE TABLE IF NOT EXISTS probe (at timestamptz DEFAULT now())');
  await client.end();
  await ledger.create();
});
answerMs = ANSWER_MS;
ledger.start(CLIENTS);
await probing();
