/**
 * `node test/bench/reader-start.ts --mib 10,100,1000 --runs 3`: a reader that is added to a volume of such a size, each time a new one:
 * how long until it answers, what its agent needs for that, and what its first query of one row costs, beside one of every row.
 */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';
import type { Writer } from '../e2e/compute-process.ts';
import { settled } from './cluster-usage.ts';
import { scrape } from './metrics.ts';
import { machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({ options: { mib: { type: 'string', default: '10,100,1000' }, runs: { type: 'string', default: '3' } } });
const sizes = values.mib.split(',').map(Number);
const runs = Number(values.runs);
/** One row a page of 8 KiB (fillfactor 10): as many pages with little redo. */
const ROWS_PER_MIB = 128;
const STILL_MS = 500;
const ROWS_AT_ONCE = 10_000;

const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { autovacuum: 'off' }, env: { AURORA_CACHE_MIB: '64' } });

async function grow(from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += ROWS_AT_ONCE)
    await cluster.query(
      `insert into filler select g, repeat(md5(g::text), 13) from generate_series(${first}, ${Math.min(to, first + ROWS_AT_ONCE) - 1}) g`,
    );
}

/** Once nothing more comes that was asked for ahead. */
async function pagesSettled(reader: Writer): Promise<number> {
  for (let before = -1; ;) {
    const now = await pagesRead(reader);
    if (now === before) return now;
    before = now;
    await delay(STILL_MS);
  }
}

const pagesRead = async ({ host }: Writer): Promise<number> => (await scrape(`${host}:7003`)).get('aurora_pages_read_total') ?? 0;

interface Started {
  readonly answersMs: number;
  readonly opensMs: number;
  readonly cpuSeconds: number;
  readonly queryMs: number;
  readonly pages: number;
  readonly nextPages: number;
}

/** Takes connections; asked seldom enough to cost nothing. */
async function answers(reader: Writer): Promise<void> {
  await cluster.until(`${reader.name} answers`, async () => (await reader.status())?.postgres.ready === true, 300_000);
}

/** A reader that nobody has queried; gone afterwards. */
async function start(rows: number): Promise<Started> {
  const reader = cluster.addReader('zone-b');
  const startedAt = performance.now();
  reader.start();
  await answers(reader);
  const answersMs = performance.now() - startedAt;
  const opensMs = (await reader.status())?.lastOpenMs ?? Number.NaN;
  const cpuSeconds = treeCpuSeconds(reader.pid ?? 0);
  const before = await pagesSettled(reader);
  const client = await cluster.connect(reader, { connectionTimeoutMillis: 120_000 });
  const queriedAt = performance.now();
  const { rowCount } = await client.query('select text from filler where id = $1', [Math.floor(rows / 2)]);
  const queryMs = performance.now() - queriedAt;
  // Mostly of system tables, which the first session needs to begin and to plan; the next query has to fetch its own alone.
  const then = await pagesSettled(reader);
  const pages = then - before;
  await client.query('select text from filler where id = $1', [Math.floor(rows / 3)]);
  const nextPages = (await pagesSettled(reader)) - then;
  if (rowCount !== 1) throw new Error('the row is not there');
  await client.end();
  await reader.kill();
  reader.killPostgres();
  return { answersMs, opensMs, cpuSeconds, queryMs, pages, nextPages };
}

const table: string[][] = [];
try {
  await cluster.query('create table filler (id int primary key, text text) with (fillfactor = 10)');
  let rows = 0;
  for (const mib of sizes) {
    await grow(rows, mib * ROWS_PER_MIB);
    rows = mib * ROWS_PER_MIB;
    await settled(cluster);
    // The first one finds the program's code cold in memory, whatever the volume is.
    if (table.length === 0) await start(rows);
    const started: Started[] = [];
    for (let run = 0; run < runs; run++) started.push(await start(rows));
    const median = (of: (one: Started) => number, digits = 0): string => shown(quantile(started.map(of), 0.5), digits);
    const bytes = await cluster.query<{ mib: number }>('select (pg_database_size(current_database()) >> 20)::int as mib');
    table.push([
      shown(bytes.rows[0]?.mib ?? Number.NaN),
      median(({ answersMs }) => answersMs),
      median(({ opensMs }) => opensMs),
      median(({ cpuSeconds }) => cpuSeconds, 2),
      median(({ queryMs }) => queryMs, 1),
      median(({ pages }) => pages),
      median(({ nextPages }) => nextPages),
    ]);
    print(`${JSON.stringify(table.at(-1))} of ${JSON.stringify(started)}; ${machineLoad()}`);
  }
} finally {
  await cluster.destroy();
}
print(
  markdownTable(
    [
      'database, MiB',
      'answers after, ms',
      'of which the volume’s way',
      'CPU of it, s',
      'first query, of one row, ms',
      'pages fetched for the first session and it',
      'for the next query, of another row',
    ],
    table,
  ),
);
