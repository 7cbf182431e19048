/**
 * `node test/bench/reader-replay.ts --scale 12 --transactions 4000 --rounds 3 --caches 16,1024`: what replay costs a reader that
 * queries next to nothing, while the writer does TPC-B over more data than the reader has cached. For each size of the
 * reader's local cache (MiB), and each round from its cold start on: pages that replay had from storage, how many of the
 * pages that redo named were in PostgreSQL's buffers, how far ahead of replay PostgreSQL asked for the others, and CPU.
 * Counts, not times: they are much the same on a busy machine.
 */
import { parseArgs } from 'node:util';
import { Cluster } from '../e2e/cluster-harness.ts';
import type { Writer } from '../e2e/compute-process.ts';
import { moved, scrape, type Metrics } from './metrics.ts';
import { clusterTarget, initialise, requirePgbench, tpcbTimes } from './pgbench.ts';
import { cpuSeconds, machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '12' },
    transactions: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    caches: { type: 'string', default: '16,1024' },
  },
});
const [clients, rounds] = [Number(values.clients), Number(values.rounds)];
const each = Math.ceil(Number(values.transactions) / clients);
const SHARED_BUFFERS = '16MB';

interface Usage {
  readonly metrics: Metrics;
  readonly postgresCpu: number;
  readonly agentCpu: number;
  readonly prefetched: number;
  readonly hits: number;
}

async function usage(reader: Writer): Promise<Usage> {
  const { rows } = await cluster.query<{ prefetched: number; hits: number }>(
    'select prefetch::int as prefetched, hit::int as hits from pg_stat_recovery_prefetch',
    [],
    reader,
  );
  return {
    metrics: await scrape(`${reader.host}:7003`),
    postgresCpu: treeCpuSeconds((await reader.status())?.postgres.pid ?? 0),
    agentCpu: cpuSeconds(reader.pid ?? 0),
    prefetched: rows[0]?.prefetched ?? 0,
    hits: rows[0]?.hits ?? 0,
  };
}

async function caughtUp(reader: Writer): Promise<void> {
  const vdl = BigInt((await cluster.writer.status())?.vdl ?? 0);
  await cluster.until('the reader has caught up', async () => BigInt((await reader.status())?.replayLsn ?? 0) >= vdl, 120_000);
}

await requirePgbench();
const cluster = await Cluster.start({ readyWithinMs: 120_000, pgParameters: { shared_buffers: SHARED_BUFFERS } });
const table: string[][] = [];
try {
  const target = clusterTarget(cluster);
  await initialise(target, Number(values.scale));
  for (const cache of values.caches.split(',')) {
    const reader = cluster.addReader('zone-b', { AURORA_CACHE_MIB: cache });
    reader.start();
    await cluster.writerReady(120_000, reader);
    await caughtUp(reader);
    for (let round = 1; round <= rounds; round++) {
      const before = await usage(reader);
      const { transactions } = await tpcbTimes(target, clients, each);
      await caughtUp(reader);
      const after = await usage(reader);
      const pages = moved(before.metrics, after.metrics, 'aurora_pages_read_total');
      const [prefetched, hits] = [after.prefetched - before.prefetched, after.hits - before.hits];
      const cpu = (from: number, to: number): string => shown(((to - from) / transactions) * 1e6);
      table.push([
        `${cache} MiB`,
        String(round),
        shown(pages / transactions, 2),
        `${shown((hits / Math.max(1, hits + prefetched)) * 100)} %`,
        `${shown((prefetched / Math.max(1, pages)) * 100)} %`,
        cpu(before.postgresCpu, after.postgresCpu),
        cpu(before.agentCpu, after.agentCpu),
        shown((await reader.status())?.lagMs ?? 0),
      ]);
      print(JSON.stringify(table.at(-1)));
    }
    await reader.kill('SIGTERM');
  }
} finally {
  await cluster.destroy();
}
print(machineLoad());
print(
  markdownTable(
    [
      "reader's cache",
      'round',
      'pages from storage a transaction',
      'of the pages that redo named in buffers',
      'of the fetched asked for ahead',
      'CPU µs a transaction: PostgreSQL',
      'agent',
      'lag then, ms',
    ],
    table,
  ),
);
