/**
 * `node test/bench/cold-reads.ts --mib 128 --lookups 4000 --rounds 3`: how fast PostgreSQL gets pages that it does not
 * have: a sequential scan of a table, and lookups by primary key at random places, with 1 and 8 clients. Both systems
 * run all the time and take turns; each figure is the median of the rounds.
 *
 * Ours: before each measurement the writer (agent and PostgreSQL) is killed with -9 and started anew: it has neither a
 * cache nor a data directory, so each page comes from a storage daemon the first time. The daemons go on running; what
 * they read from their page stores is in the operating system's page cache. Stock PostgreSQL is restarted before each
 * measurement: its shared_buffers are cold, and its files are in the operating system's page cache too. So neither side
 * waits for a disk: the way of a page is what is compared.
 *
 * "pages" is what was fetched for the measured queries alone: from storage (aurora_pages_read_total), or for stock what
 * pg_stat_database counts as read. The latency of a storage read (request of one or more pages, agent's side) is given
 * as the histogram's bound at or above the quantile; that of a lookup is the client's own. CPU is microseconds a page,
 * of all processes of a part. `--node-options` takes the place of those that our programs have of Node.
 */
import { parseArgs } from 'node:util';
import type { Client } from 'pg';
import { startPostgres } from '@kube-aurora/test-postgres';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, settled, writerMetrics } from './cluster-usage.ts';
import { histogramQuantile, moved, type Metrics } from './metrics.ts';
import { cpuSeconds, machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '128' },
    lookups: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '1,8' },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
    'node-options': { type: 'string' },
  },
});
const ROW_FILLER = 400;
const ROWS_PER_MIB = 2250;
const rows = Number(values.mib) * ROWS_PER_MIB;
const INSERT_ROWS = 50_000;
const SHARED_BUFFERS = '32MB';

/** What is measured, one of ours or a stock PostgreSQL. */
interface Server {
  readonly name: string;
  connect(): Promise<Client>;
  /** Waits until what filling the table left to be done in the background is done. */
  settle(): Promise<void>;
  /** Forgets every page that PostgreSQL has in memory or, ours, in its data directory; resolves when it answers. */
  makeCold(): Promise<void>;
  /** Pages fetched since it was made cold, how long requests to storage took, and CPU used. */
  mark(): Promise<Mark>;
  stop(): Promise<void>;
}

interface Mark {
  readonly pages: number;
  readonly metrics?: Metrics;
  /** CPU seconds so far. */
  readonly cpu: { readonly postgres: number; readonly agent?: number; readonly daemons?: number };
}

async function ours(): Promise<Server> {
  const cluster = await Cluster.start({
    readyWithinMs: 120_000,
    pgParameters: { shared_buffers: SHARED_BUFFERS },
    env: values['node-options'] === undefined ? {} : { NODE_OPTIONS: values['node-options'] },
  });
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
      const postgres = (await cluster.writer.status())?.postgres.pid;
      const cpu = {
        postgres: postgres === undefined ? Number.NaN : treeCpuSeconds(postgres),
        agent: cpuSeconds(cluster.writer.pid ?? 0),
        daemons: cluster.daemons.reduce((sum, { pid }) => sum + cpuSeconds(pid ?? 0), 0),
      };
      return { pages: metrics.get('aurora_pages_read_total') ?? 0, metrics, cpu };
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
      return { pages: Number(rows[0]?.read), cpu: { postgres: treeCpuSeconds(postgres.pid) } };
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

/**
 * What a row of the table is made of, in numbers, so that rounds can be compared; NaN for what a system does not have.
 */
function numbers({ seconds, fetched, before, after, latencies }: Figures): number[] {
  const cpu = (part: keyof Mark['cpu']): number => ((after.cpu[part] ?? Number.NaN) - (before.cpu[part] ?? Number.NaN)) * 1e6;
  const ofStorage = (measure: (was: Metrics, is: Metrics) => number): number =>
    before.metrics === undefined || after.metrics === undefined ? Number.NaN : measure(before.metrics, after.metrics);
  const storageMs = (part: number): number => ofStorage((was, is) => 1000 * histogramQuantile(was, is, 'aurora_page_read_seconds', part));
  return [
    seconds,
    fetched,
    fetched / seconds,
    latencies.length === 0 ? Number.NaN : latencies.length / seconds,
    quantile(latencies, 0.5),
    quantile(latencies, 0.99),
    ofStorage((was, is) => moved(was, is, 'aurora_page_read_seconds_count')),
    storageMs(0.5),
    storageMs(0.99),
    cpu('postgres') / fetched,
    cpu('agent') / fetched,
    cpu('daemons') / fetched,
  ];
}

const COLUMNS: readonly (readonly [string, number])[] = [
  ['s', 2],
  ['pages fetched', 0],
  ['pages/s', 0],
  ['lookups/s', 0],
  ['lookup p50, ms', 2],
  ['p99', 2],
  ['storage reads', 0],
  ['storage read p50 ≤, ms', 1],
  ['p99 ≤', 1],
  ['CPU µs a page: PostgreSQL', 0],
  ['agent', 0],
  ['daemons', 0],
];

const cells = (row: readonly number[]): string[] =>
  row.map((value, column) => (Number.isNaN(value) ? '' : shown(value, COLUMNS[column]?.[1] ?? 0)));

/** The median of each column. */
const medians = (rows: readonly (readonly number[])[]): number[] =>
  COLUMNS.map((_, column) =>
    quantile(
      rows.map((row) => row[column] ?? Number.NaN),
      0.5,
    ),
  );

const servers: Server[] = [];
const results = new Map<string, { readonly server: string; readonly what: string; readonly rows: number[][] }>();

async function measure(server: Server, what: string, work: () => Promise<{ seconds: number; latencies: number[] }>): Promise<void> {
  const row = numbers(await measured(server, what, work));
  const key = `${what}, ${server.name}`;
  const result = results.get(key) ?? { server: server.name, what, rows: [] };
  result.rows.push(row);
  results.set(key, result);
  print(`${key}: ${cells(row).join('  ')}`);
}

try {
  for (const [key, start] of Object.entries({ ours, stock })) {
    if (values.only !== undefined && values.only !== key) continue;
    const server = await start();
    servers.push(server);
    await fill(server);
    await server.settle();
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const server of servers) await measure(server, 'sequential scan', () => scan(server));
    for (const clients of values.clients.split(',').filter(Boolean).map(Number)) {
      const what = `lookups, ${clients} ${clients === 1 ? 'client' : 'clients'}`;
      for (const server of servers) await measure(server, what, () => lookUp(server, clients));
    }
  }
} finally {
  for (const server of servers) await server.stop();
}
print(`\ntable of ${values.mib} MiB, shared_buffers ${SHARED_BUFFERS}, ${values.rounds} rounds, ${machineLoad()}\n`);
const table = [...results.values()].map(({ server, what, rows: all }) => [what, server, ...cells(medians(all))]);
print(markdownTable(['', '', ...COLUMNS.map(([name]) => name)], table));
