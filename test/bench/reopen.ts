/**
 * `node test/bench/reopen.ts --mib 20 --times 10 --runs 3`: kill -9 of the writer under load, and the time until the
 * next commit is acknowledged to a client: with little data, after ten times the redo, and with ten times the data.
 */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '20' }, times: { type: 'string', default: '10' }, runs: { type: 'string', default: '3' } },
});
const mib = Number(values.mib);
const times = Number(values.times);
const runs = Number(values.runs);
const MIB = 1024 * 1024;
const ROWS_PER_MIB = 1900;
const INSERT_MIB = 20;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { autovacuum: 'off' } });

async function vdl(): Promise<number> {
  return Number((await cluster.writer.status())?.vdl ?? '0');
}

async function insertMib(table: string, size: number): Promise<void> {
  for (let left = size; left > 0; left -= INSERT_MIB) {
    const rows = Math.round(Math.min(left, INSERT_MIB) * ROWS_PER_MIB);
    await cluster.query(`insert into ${table} select g, repeat(md5(g::text), 15) from generate_series(1, ${rows}) g`);
  }
}

/** One client that commits for ever, over new connections when it must; `commits` counts what was acknowledged. */
class Load {
  commits = 0;
  #running = true;
  readonly #done: Promise<void>;
  constructor() {
    this.#done = this.#run();
  }
  async #run(): Promise<void> {
    while (this.#running) {
      try {
        const client = await cluster.connect();
        while (this.#running) {
          await client.query('insert into beat default values');
          this.commits++;
        }
        await client.end();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        await delay(5);
      }
    }
  }
  stop(): Promise<void> {
    this.#running = false;
    return this.#done;
  }
}

/** Milliseconds from kill -9 of agent and PostgreSQL to the next acknowledged commit. */
async function killToCommit(): Promise<number> {
  const loads = Array.from({ length: 4 }, () => new Load());
  await delay(1500);
  const killedAt = performance.now();
  await cluster.writer.kill();
  cluster.writer.killPostgres();
  const before = loads.map((load) => load.commits);
  cluster.writer.start();
  while (loads.every((load, index) => load.commits <= (before[index] ?? 0))) await delay(2);
  const took = performance.now() - killedAt;
  await Promise.all(loads.map((load) => load.stop()));
  await cluster.writerReady();
  return took;
}

const rows: string[] = [];

async function measure(what: string, redoSince: number): Promise<void> {
  const { rows: size } = await cluster.query<{ bytes: string }>('select pg_database_size(current_database()) bytes');
  const redo = (await vdl()) - redoSince;
  const took: number[] = [];
  for (let run = 0; run < runs; run++) took.push(Math.round(await killToCommit()));
  const median = took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0;
  const row = `| ${what} | ${Math.round(Number(size[0]?.bytes) / MIB)} MiB | ${Math.round(redo / MIB)} MiB | ${median} ms | ${took.join(', ')} |`;
  rows.push(row);
  print(row);
}

try {
  await cluster.query(
    'create table filler (id int, filler text); create table scratch (id int, filler text); create table beat (id bigserial primary key)',
  );
  const start = await vdl();
  await insertMib('filler', mib);
  const redo = (await vdl()) - start;
  await measure('small', start);
  while ((await vdl()) - start < times * redo) {
    await insertMib('scratch', mib);
    await cluster.query('truncate scratch');
  }
  await measure(`${times} times the redo`, start);
  await insertMib('filler', (times - 1) * mib);
  await measure(`${times} times the data`, start);
} finally {
  await cluster.destroy();
}
print('\n| writer killed -9 under load | database | redo since start | median to the next commit | each |');
print('| --- | --- | --- | --- | --- |');
for (const row of rows) print(row);
