/**
 * `node test/bench/readers.ts --readers 0,1,5 --seconds 10 --clients 4 [--data-mib 50]`: what readers cost and give. For each number of
 * readers, all started at once beside a writer: how long until each answers, how long a commit takes to be seen on a reader, idle and
 * under load, and how many transactions a second the writer does meanwhile. Lag is that of the first reader, which is cold when it is measured first: a
 * page that replay needs and that is not there is fetched while replay waits. `--readers 1,1` has it cold and then warm.
 */
import { parseArgs } from 'node:util';
import { loadavg } from 'node:os';
import { Cluster, ZONES } from '../e2e/cluster-harness.ts';
import type { Writer } from '../e2e/compute-process.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    readers: { type: 'string', default: '0,1,5' },
    seconds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '4' },
    'data-mib': { type: 'string', default: '50' },
  },
});
const counts = values.readers.split(',').map(Number);
const seconds = Number(values.seconds);
const clients = Number(values.clients);
const ROWS_PER_MIB = 1900;
const rows = Math.round(Number(values['data-mib']) * ROWS_PER_MIB);

const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { shared_buffers: '16MB' }, env: { AURORA_CACHE_MIB: '64' } });

/** Updates by primary key on so many connections, for so many milliseconds; transactions a second. */
async function load(ms: number): Promise<number> {
  const until = performance.now() + ms;
  const each = Array.from({ length: clients }, async (_, index) => {
    const client = await cluster.connect();
    let done = 0;
    for (let id = index * 7919; performance.now() < until; id = (id + 104_729) % rows, done++)
      await client.query('update filler set n = n + 1 where id = $1', [id]);
    await client.end();
    return done;
  });
  return ((await Promise.all(each)).reduce((sum, done) => sum + done, 0) * 1000) / ms;
}

/** Milliseconds from each commit's return until a reader shows it, one after another, for so many milliseconds. */
async function lags(reader: Writer, ms: number): Promise<number[]> {
  const writing = await cluster.connect();
  const reading = await cluster.connect(reader);
  const seen: number[] = [];
  for (const until = performance.now() + ms; performance.now() < until;) {
    const { rows: made } = await writing.query<{ id: number }>('insert into seen default values returning id');
    const at = performance.now();
    while ((await reading.query('select from seen where id = $1', [made[0]?.id])).rowCount === 0);
    seen.push(performance.now() - at);
  }
  await writing.end();
  await reading.end();
  return seen;
}

/** Pages that the reader has fetched from storage so far. */
async function fetchedBy(reader: Writer): Promise<number> {
  const text = await (await fetch(`http://${reader.host}:7003/metrics`)).text();
  return Number(/^aurora_pages_read_total (\d+)/m.exec(text)?.[1] ?? NaN);
}

const shownLags = (all: readonly number[]): string =>
  all.length === 0 ? '' : `${shown(quantile(all, 0.5), 1)} / ${shown(quantile(all, 0.99), 1)} ms`;

const table: string[][] = [];
try {
  await cluster.query('create table seen (id serial primary key); create table filler (id int primary key, n int, filler text)');
  await cluster.query(`insert into filler select g, 0, repeat(md5(g::text), 15) from generate_series(0, ${rows}) g`);
  const running: Writer[] = [];
  for (const count of counts) {
    const fresh = Array.from({ length: Math.max(0, count - running.length) }, (_, index) => {
      return cluster.addReader(ZONES[(running.length + index) % ZONES.length] ?? 'zone-a');
    });
    const startedAt = performance.now();
    for (const reader of fresh) reader.start();
    await Promise.all(fresh.map((reader) => cluster.writerReady(300_000, reader)));
    const startedMs = performance.now() - startedAt;
    running.push(...fresh);
    const opens = await Promise.all(fresh.map(async (reader) => (await reader.status())?.lastOpenMs ?? 0));
    const idle = running[0] === undefined ? [] : await lags(running[0], (seconds * 1000) / 2);
    const before = running[0] === undefined ? 0 : await fetchedBy(running[0]);
    const [tps, busy] = await Promise.all([load(seconds * 1000), running[0] === undefined ? [] : lags(running[0], seconds * 1000)]);
    const fetched = running[0] === undefined ? '' : shown(((await fetchedBy(running[0])) - before) / (tps * seconds + busy.length), 2);
    const started =
      fresh.length === 0
        ? ''
        : `${shown(startedMs)} ms; each opened in ${shown(quantile(opens, 0.5))} (at most ${shown(Math.max(...opens))})`;
    table.push([String(running.length), started, shownLags(idle), shownLags(busy), fetched, shown(tps), shown(loadavg()[0] ?? 0)]);
    print(JSON.stringify(table.at(-1)));
  }
} finally {
  await cluster.destroy();
}
print(
  markdownTable(
    [
      'readers',
      'all started at once answer after',
      'seen on a reader, idle (p50 / p99)',
      'under load (p50 / p99)',
      'pages that it fetched, a commit',
      `writer, ${clients} clients, TPS`,
      'load average',
    ],
    table,
  ),
);
