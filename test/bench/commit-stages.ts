/**
 * Where a commit's time goes, from the programs' own figures: PostgreSQL's count of its WAL's fsyncs (pg_stat_io), the
 * agent's and the daemons' histograms. Each stage is the difference of two neighbours' means; the daemons' are means
 * over all six, of which a commit waits for four.
 */
import { Client } from 'pg';
import type { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, writerMetrics } from './cluster-usage.ts';
import { histogramQuantile, moved, type Metrics } from './metrics.ts';
import type { BenchTarget } from './pgbench.ts';
import { shown } from './table.ts';

/** PostgreSQL must time its fsyncs for it. */
export const STAGE_PARAMETERS = { track_wal_io_timing: 'on' } as const;

export interface StageReading {
  readonly fsyncs: number;
  readonly fsyncMs: number;
  readonly writer: Metrics;
  readonly daemons: Metrics;
}

/** Series of all daemons, added up. */
function together(all: readonly Metrics[]): Metrics {
  const sums = new Map<string, number>();
  for (const each of all) for (const [name, value] of each) sums.set(name, (sums.get(name) ?? 0) + value);
  return sums;
}

export async function readStages(cluster: Cluster, { host, port, user, password, database }: BenchTarget): Promise<StageReading> {
  const client = new Client({ host, port, user, password, database });
  await client.connect();
  try {
    const { rows } = await client.query<{ fsyncs: string; ms: string }>(
      `select coalesce(sum(fsyncs), 0) fsyncs, coalesce(sum(fsync_time), 0) ms from pg_stat_io where object = 'wal' and context = 'normal'`,
    );
    return {
      fsyncs: Number(rows[0]?.fsyncs),
      fsyncMs: Number(rows[0]?.ms),
      writer: await writerMetrics(cluster),
      daemons: together(await daemonMetrics(cluster)),
    };
  } finally {
    await client.end();
  }
}

/** Milliseconds: mean, and the median and 99th percentile where a histogram says so. */
function row(stage: string, mean: number, histogram?: readonly [Metrics, Metrics, string]): string[] {
  const at = (part: number): string => (histogram === undefined ? '' : shown(1000 * histogramQuantile(...histogram, part), 2));
  return [stage, shown(mean, 3), at(0.5), at(0.99)];
}

export const STAGE_HEAD = ['stage of a commit', 'ms, mean', 'p50 at most', 'p99 at most'] as const;

/** The rows of one run of `transactions`, each of which took `latencyMs` for its client. */
export function stageRows(before: StageReading, after: StageReading, latencyMs: number, transactions: number): string[][] {
  const mean = (program: 'writer' | 'daemons', name: string): number =>
    (1000 * moved(before[program], after[program], `${name}_sum`)) / moved(before[program], after[program], `${name}_count`);
  const fsync = (after.fsyncMs - before.fsyncMs) / (after.fsyncs - before.fsyncs);
  const flush = mean('writer', 'aurora_flush_seconds');
  const sent = mean('writer', 'aurora_flush_sent_seconds');
  const append = mean('daemons', 'aurora_storage_append_seconds');
  const sync = mean('daemons', 'aurora_storage_sync_seconds');
  const ofWriter = (name: string) => [before.writer, after.writer, name] as const;
  const ofDaemons = (name: string) => [before.daemons, after.daemons, name] as const;
  return [
    row('a transaction, as its client sees it', latencyMs),
    row('PostgreSQL’s wait for its WAL’s fsync', fsync),
    row('· shim: to the agent and back', fsync - flush),
    row('· agent: a flush, in all', flush, ofWriter('aurora_flush_seconds')),
    row('·· agent: WAL read, packed, handed on', sent, ofWriter('aurora_flush_sent_seconds')),
    row('·· wire: sockets and wake-ups, there and back', flush - sent - append),
    row('·· daemon: a batch, in all', append, ofDaemons('aurora_storage_append_seconds')),
    row('··· daemon: checks, gathering, write', append - sync),
    row('··· disk: fdatasync', sync, ofDaemons('aurora_storage_sync_seconds')),
    ['fsyncs a transaction', shown((after.fsyncs - before.fsyncs) / transactions, 3), '', ''],
    [
      'fdatasyncs a transaction, each daemon',
      shown(moved(before.daemons, after.daemons, 'aurora_storage_sync_seconds_count') / transactions / 6, 3),
      '',
      '',
    ],
  ];
}
