/**
 * `node test/bench/cold-reads.ts --mib 128 --lookups 4000`: how fast PostgreSQL gets pages that it does not have: a sequential scan of
 * a table, and lookups by primary key at random places, with 1 and 8 clients.
 *
 * Ours: before each measurement the writer (agent and PostgreSQL) is killed with -9 and started anew: it has neither a cache nor a data
 * directory, so each page comes from a storage daemon the first time. The daemons go on running; what they read from their page stores
 * is in the operating system's page cache. Stock PostgreSQL is restarted before each measurement: its shared_buffers are cold, and
 * its files are in the operating system's page cache too. So neither side waits for a disk: the way of a page is what is compared.
 *
 * "pages" is what was fetched for the measured queries alone: from storage (aurora_pages_read_total), or for stock what
 * pg_stat_database counts as read. The latency of a storage read (request of one or more pages, agent's side) is given as the
 * histogram's bound at or above the quantile; that of a lookup is the client's own.
 */
import { parseArgs } from 'node:util';
import type { Client } from 'pg';
import { startPostgres } from '@kube-aurora/test-postgres';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, settled, writerMetrics } from './cluster-usage.ts';
import { histogramQuantile, moved, type Metrics } from './metrics.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '128' },
    lookups: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '1,8' },
    only: { type: 'string' },
  },
});
const ROW_FILLER = 400;
const ROWS_PER_MIB = 2250;
const rows = Number(values.mib) * ROWS_PER_MIB;
const INSERT_ROWS = 50_000;
const SHARED_BUFFERS = '32MB';
const PAGE_BYTES = 8192;

/** What is measured, one of ours or a stock PostgreSQL. */
interface Server {
  readonly name: string;
  connect(): Promise<Client>;
  /** Waits until what filling the table left to be done in the background is done. */
  settle(): Promise<void>;
  /** Forgets every page that PostgreSQL has in memory or, ours, in its data directory; resolves when it answers. */
  makeCold(): Promise<void>;
  /** Pages fetched since it was made cold, and how long requests to storage took. */
  mark(): Promise<Mark>;
  stop(): Promise<void>;
}

interface Mark {
  readonly pages: number;
  readonly metrics?: Metrics;
}

async function ours(): Promise<Server> {
  const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { shared_buffers: SHARED_BUFFERS } });
  return {
    name: 'kube-aurora',
    connect: () => cluster.connect(),
    settle: () => settled(cluster),
    makeCold: async () => {
      await cluster.writer.kill();
      cluster.writer.killPostgres();
      cluster.writer.start();
      await cluster.writerReady();
    },
    mark: async () => {
      const metrics = await writerMetrics(cluster);
      return { pages: metrics.get('aurora_pages_read_total') ?? 0, metrics };
    },
    stop: async () => {
      const daemons = await daemonMetrics(cluster);
      const total = (name: string): number => daemons.reduce((sum, each) => sum + (each.get(`aurora_storage_${name}`) ?? 0), 0);
      print(
        `the daemons served ${shown(total('pages_read_total'))} pages and applied ${shown(total('records_applied_to_pages'))} records, ` +
          `checkpoints included`,
      );
      await cluster.destroy();
    },
  };
}

async function stock(): Promise<Server> {
  const postgres = await startPostgres({ settings: { fsync: true, shared_buffers: SHARED_BUFFERS, max_wal_size: '4GB' } });
  return {
    name: 'stock PostgreSQL',
    connect: () => postgres.connect(),
    settle: async () => {
      const client = await postgres.connect();
      await client.query('checkpoint');
      await client.end();
    },
    makeCold: () => postgres.restart(),
    mark: async () => {
      const client = await postgres.connect();
      const { rows } = await client.query<{ read: string }>(
        'select blks_read read from pg_stat_database where datname = current_database()',
      );
      await client.end();
      return { pages: Number(rows[0]?.read) };
    },
    stop: () => postgres.remove(),
  };
}

async function fill(server: Server): Promise<void> {
  const client = await server.connect();
  try {
    await client.query('create table cold (id int primary key, filler text)');
    await client.query('alter table cold alter filler set storage plain');
    for (let from = 0; from < rows; from += INSERT_ROWS) {
      const to = Math.min(rows, from + INSERT_ROWS);
      await client.query(`insert into cold select g, repeat('x', ${ROW_FILLER}) from generate_series(${from + 1}, ${to}) g`);
    }
    await client.query('vacuum (freeze, analyze) cold');
  } finally {
    await client.end();
  }
}

interface Figures {
  readonly what: string;
  readonly seconds: number;
  readonly fetched: number;
  readonly before: Mark;
  readonly after: Mark;
  /** Milliseconds of each query, where there are many. */
  readonly latencies: readonly number[];
}

async function measured(server: Server, what: string, work: () => Promise<{ seconds: number; latencies: number[] }>): Promise<Figures> {
  await server.makeCold();
  const before = await server.mark();
  const { seconds, latencies } = await work();
  const after = await server.mark();
  return { what, seconds, fetched: after.pages - before.pages, before, after, latencies };
}

async function scan(server: Server): Promise<{ seconds: number; latencies: number[] }> {
  const client = await server.connect();
  try {
    await client.query('set max_parallel_workers_per_gather = 0');
    const startedAt = performance.now();
    await client.query('select sum(length(filler)) from cold');
    return { seconds: (performance.now() - startedAt) / 1000, latencies: [] };
  } finally {
    await client.end();
  }
}

/** The same places in each run: a permutation of the keys by a step that is prime to their number. */
async function lookUp(server: Server, clients: number): Promise<{ seconds: number; latencies: number[] }> {
  const connected = await Promise.all(Array.from({ length: clients }, () => server.connect()));
  const latencies: number[] = [];
  const total = Number(values.lookups);
  let next = 0;
  const one = async (client: Client): Promise<void> => {
    while (next < total) {
      const id = ((next++ * 1_299_709) % rows) + 1;
      const startedAt = performance.now();
      const { rowCount } = await client.query({ name: 'lookup', text: 'select filler from cold where id = $1', values: [id] });
      latencies.push(performance.now() - startedAt);
      if (rowCount !== 1) throw new Error(`row ${id} is not there`);
    }
  };
  try {
    const startedAt = performance.now();
    await Promise.all(connected.map(one));
    return { seconds: (performance.now() - startedAt) / 1000, latencies };
  } finally {
    await Promise.all(connected.map((client) => client.end()));
  }
}

function cells(server: Server, { what, seconds, fetched, before, after, latencies }: Figures): string[] {
  const ms = (value: number): string => (Number.isNaN(value) ? '' : `${shown(value, 2)} ms`);
  const storage = (part: number): string => {
    if (before.metrics === undefined || after.metrics === undefined) return '';
    return `≤ ${shown(1000 * histogramQuantile(before.metrics, after.metrics, 'aurora_page_read_seconds', part), 1)} ms`;
  };
  const requests =
    after.metrics === undefined ? '' : shown(moved(before.metrics ?? new Map(), after.metrics, 'aurora_page_read_seconds_count'));
  const rate = `${shown(fetched / seconds)} (${shown((fetched * PAGE_BYTES) / MIB / seconds)} MiB/s)`;
  const queries =
    latencies.length === 0
      ? ['', '']
      : [shown(latencies.length / seconds), `${ms(quantile(latencies, 0.5))} / ${ms(quantile(latencies, 0.99))}`];
  return [
    server.name,
    what,
    `${shown(seconds, 2)} s`,
    shown(fetched),
    rate,
    ...queries,
    requests,
    requests === '' ? '' : `${storage(0.5)} / ${storage(0.99)}`,
  ];
}

const table: string[][] = [];
for (const [key, start] of Object.entries({ ours, stock })) {
  if (values.only !== undefined && values.only !== key) continue;
  const server = await start();
  try {
    await fill(server);
    await server.settle();
    const figures = [await measured(server, 'sequential scan', () => scan(server))];
    for (const clients of values.clients.split(',').map(Number)) {
      figures.push(await measured(server, `lookups, ${clients} ${clients === 1 ? 'client' : 'clients'}`, () => lookUp(server, clients)));
    }
    for (const each of figures) {
      table.push(cells(server, each));
      print(table.at(-1)?.join('  ') ?? '');
    }
  } finally {
    await server.stop();
  }
}
print(`\ntable of ${values.mib} MiB, shared_buffers ${SHARED_BUFFERS}, ${machineLoad()}\n`);
const head = ['', '', 'took', 'pages fetched', 'pages/s', 'lookups/s', 'lookup p50 / p99', 'storage reads', 'storage read p50 / p99'];
print(markdownTable(head, table));
