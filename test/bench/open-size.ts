/**
 * `node test/bench/open-size.ts --relations 100,10000,100000 --gib 5 --runs 3`: kill -9 of the writer, and the time
 * until the next commit is acknowledged to a client, with more and more relations and then with one of several GiB; and
 * how long each step of the opening took, from the agent's own log.
 */
import { parseArgs } from 'node:util';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';
import { settled } from './cluster-usage.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, print, quantile } from './table.ts';

const { values } = parseArgs({
  options: {
    relations: { type: 'string', default: '100,10000,100000' },
    gib: { type: 'string', default: '5' },
    runs: { type: 'string', default: '3' },
  },
});
const counts = values.relations.split(',').map(Number);
const gib = Number(values.gib);
const runs = Number(values.runs);
/** Tables made in one transaction: each holds a lock until its end. */
const TABLES_AT_ONCE = 500;
/** One row a page (fillfactor 10): pages enough without as much redo. */
const ROWS_AT_ONCE = 20_000;
const PAGES_PER_GIB = 131_072;

const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { autovacuum: 'off' } });

/** Each statement has a connection of its own: PostgreSQL remembers every relation that a session made. */
async function makeTables(from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += TABLES_AT_ONCE) {
    await cluster.query(`do $$ begin
      for i in ${first}..${Math.min(to, first + TABLES_AT_ONCE) - 1} loop execute format('create table r%s (id int)', i); end loop;
    end $$`);
  }
}

async function makeLarge(pages: number): Promise<void> {
  await cluster.query('create table large (id int, filler text) with (fillfactor = 10)');
  for (let first = 0; first < pages; first += ROWS_AT_ONCE) {
    await cluster.query(
      `insert into large select g, repeat(md5(g::text), 13) from generate_series(${first}, ${Math.min(pages, first + ROWS_AT_ONCE) - 1}) g`,
    );
  }
}

/** The steps of the last opening, each from the start of the one before it, in milliseconds. */
function steps(): number[] {
  const lines = readFileSync(cluster.writer.logFile, 'utf8').split('\n');
  const up = lines.findLast((line) => line.includes('"PostgreSQL is up"'));
  const running = lines.findLast((line) => line.includes('"writer is running"'));
  if (up === undefined || running === undefined) throw new Error('the log names no opening');
  const at: Record<string, number> = { ...JSON.parse(running), ...JSON.parse(up) };
  const { openedMs = 0, imageMs = 0, directoryMs = 0, spawnedMs = 0, answersMs = 0, readyMs = 0 } = at;
  return [openedMs, imageMs, directoryMs - imageMs, spawnedMs - directoryMs, answersMs - spawnedMs, readyMs - answersMs];
}

async function commitOnce(): Promise<void> {
  for (;;) {
    try {
      await cluster.query('insert into beat default values');
      return;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      await delay(5);
    }
  }
}

const rows: string[][] = [];
/** Once as it stands, with the daemons still at work on what was just written, then with that behind them. */
async function measure(what: string): Promise<void> {
  await measureOpening(`${what}, just made`, 1);
  await settled(cluster);
  await measureOpening(what, runs);
}

async function measureOpening(what: string, times: number): Promise<void> {
  const took: { ms: number; steps: number[] }[] = [];
  for (let run = 0; run < times; run++) {
    await commitOnce();
    const killedAt = performance.now();
    await cluster.writer.kill();
    cluster.writer.killPostgres();
    cluster.writer.start();
    await commitOnce();
    const ms = Math.round(performance.now() - killedAt);
    // PostgreSQL answers before the agent has set passwords and says so.
    await cluster.until('the writer runs', async () => (await cluster.writer.status())?.phase === 'running', 60_000);
    took.push({ ms, steps: steps() });
  }
  const medianSteps = (took[0]?.steps ?? []).map((_, step) =>
    quantile(
      took.map((each) => each.steps[step] ?? 0),
      0.5,
    ),
  );
  rows.push([
    what,
    ...[
      quantile(
        took.map(({ ms }) => ms),
        0.5,
      ),
      ...medianSteps,
    ].map(String),
  ]);
  print(`${what}: ${took.map(({ ms, steps: each }) => `${ms} (${each.join(' ')})`).join(', ')}; ${machineLoad()}`);
}

try {
  await cluster.query('create table beat (id bigserial primary key)');
  let made = 0;
  for (const count of counts) {
    const startedAt = performance.now();
    await makeTables(made, count);
    made = count;
    print(`${count} tables after ${Math.round((performance.now() - startedAt) / 1000)} s`);
    await measure(`${count} tables`);
  }
  if (gib > 0) {
    const startedAt = performance.now();
    await makeLarge(gib * PAGES_PER_GIB);
    print(`${gib} GiB after ${Math.round((performance.now() - startedAt) / 1000)} s`);
    await measure(`and one of ${gib} GiB`);
  }
} finally {
  await cluster.destroy();
}
print(
  markdownTable(
    [
      'the volume has',
      'median, ms',
      'each',
      'epoch and history',
      'image',
      'data directory',
      'first batch durable',
      'PostgreSQL',
      'passwords',
    ],
    rows,
  ),
);
