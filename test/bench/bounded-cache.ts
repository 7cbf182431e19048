/**
 * `node test/bench/bounded-cache.ts --scale 18 --cache 64 --seconds 30 --rounds 3`: what a local cache costs that holds
 * a quarter of the data. Two clusters, one with a cache of `--cache` MiB and one whose cache holds everything, take
 * turns: TPC-B over all accounts, and lookups of accounts at random. pgbench's tables take about 15 MiB for each unit
 * of scale, so 18 is four times 64 MiB. Each figure is the median of the rounds; the first round of each is not
 * counted, for it fills the caches.
 */
import { parseArgs } from 'node:util';
import { Cluster } from '../e2e/cluster-harness.ts';
import { settled, writerMetrics } from './cluster-usage.ts';
import { moved } from './metrics.ts';
import { checkpoint, clusterTarget, initialise, requirePgbench, runFor, type PgbenchResult } from './pgbench.ts';
import { cpuSeconds, machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '18' },
    cache: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
  },
});
const SHARED_BUFFERS = '32MB';
const UNBOUNDED_MIB = 1024 * 1024;

const COLUMNS: readonly (readonly [string, number])[] = [
  ['TPS', 0],
  ['latency, ms', 2],
  ['pages from storage a transaction', 2],
  ['pages let go of', 0],
  ['cache, MiB', 0],
  ['CPU µs a transaction: PostgreSQL', 0],
  ['agent', 0],
  ['daemons', 0],
];

async function measured(cluster: Cluster, work: () => Promise<PgbenchResult>): Promise<number[]> {
  const cpu = async (): Promise<[number, number, number]> => [
    treeCpuSeconds((await cluster.writer.status())?.postgres.pid ?? 0),
    cpuSeconds(cluster.writer.pid ?? 0),
    cluster.daemons.reduce((sum, { pid }) => sum + cpuSeconds(pid ?? 0), 0),
  ];
  const [before, cpuBefore] = [await writerMetrics(cluster), await cpu()];
  const { tps, latencyMs, transactions } = await work();
  const [after, cpuAfter] = [await writerMetrics(cluster), await cpu()];
  return [
    tps,
    latencyMs,
    moved(before, after, 'aurora_pages_read_total') / transactions,
    moved(before, after, 'aurora_cache_pages_evicted'),
    (after.get('aurora_cache_bytes') ?? 0) / 2 ** 20,
    ...cpuAfter.map((seconds, part) => ((seconds - (cpuBefore[part] ?? 0)) / transactions) * 1e6),
  ];
}

await requirePgbench();
const [seconds, clients] = [Number(values.seconds), Number(values.clients)];
const caches = [
  ['a quarter', Number(values.cache)],
  ['all', UNBOUNDED_MIB],
] as const;
const clusters: { readonly name: string; readonly cluster: Cluster }[] = [];
const results = new Map<string, number[][]>();
try {
  for (const [name, mib] of caches) {
    const env = { AURORA_CACHE_MIB: String(mib) };
    const cluster = await Cluster.start({ env, readyWithinMs: 120_000, pgParameters: { shared_buffers: SHARED_BUFFERS } });
    clusters.push({ name, cluster });
    await initialise(clusterTarget(cluster), Number(values.scale));
    await checkpoint({ ...clusterTarget(cluster), user: 'postgres' });
    await settled(cluster);
  }
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const { name, cluster } of clusters) {
      const target = clusterTarget(cluster);
      for (const [what, workload] of [
        ['TPC-B', 'tpcb'],
        ['lookups', 'select'],
      ] as const) {
        const row = await measured(cluster, () => runFor(target, workload, clients, seconds));
        print(`round ${round}, ${what}, cache of ${name}: ${row.map((value, at) => shown(value, COLUMNS[at]?.[1] ?? 0)).join('  ')}`);
        const key = `${what}, cache of ${name}`;
        if (round > 0) results.set(key, [...(results.get(key) ?? []), row]);
      }
    }
  }
} finally {
  for (const { cluster } of clusters) await cluster.destroy();
}
print(`\nscale ${values.scale}, cache ${values.cache} MiB, shared_buffers ${SHARED_BUFFERS}, ${clients} clients, ${machineLoad()}\n`);
const table = [...results].map(([key, rows]) => [
  key,
  ...COLUMNS.map(([, digits], column) =>
    shown(
      quantile(
        rows.map((row) => row[column] ?? Number.NaN),
        0.5,
      ),
      digits,
    ),
  ),
]);
print(markdownTable(['', ...COLUMNS.map(([name]) => name)], table));
