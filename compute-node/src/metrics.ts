import { LabelledLatencies, LatencyHistogram } from '@kube-aurora/process';
import { TAKEOVER_REASONS } from './failover-record.ts';
import type { Load } from './load/load-meter.ts';
import type { CacheCounters } from './postgres/cache-file.ts';
import type { ReplayView } from './session/session.ts';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Everything the agent counts; gauges are read when they are scraped. */
export interface AgentMetrics {
  readonly flushSeconds: LatencyHistogram;
  readonly flushSentSeconds: LatencyHistogram;
  readonly segmentAckSeconds: LabelledLatencies;
  readonly pageReadSeconds: LatencyHistogram;
  readonly pagesRead: Counter;
  readonly pagesReadAhead: Counter;
  readonly pagesReadAheadUnused: Counter;
  readonly pageReadsHedged: Counter;
  readonly pageReadErrors: Counter<'segment' | 'code'>;
  readonly opens: Counter<'outcome'>;
  readonly openSeconds: Histogram;
  readonly tokenLogins: Counter<'outcome'>;
  readonly failovers: Counter<'reason'>;
  readonly failoverSeconds: Histogram<'phase'>;
}

export interface AgentGauges {
  /** Undefined for a writer, and while a reader has no session. */
  readonly replay: () => ReplayView | undefined;
  readonly vdl: () => bigint;
  readonly epoch: () => bigint;
  readonly ringBytes: () => number;
  readonly leaseRemainingMs: () => number;
  readonly leaseTimesRunOut: () => number;
  readonly waitingFlushes: () => number;
  /** 1 while they return before their quorum. */
  readonly flushesReturnEarly: () => number;
  /** Undefined before PostgreSQL was first started. */
  readonly cache: () => CacheCounters | undefined;
  /** Undefined while it is not known. */
  readonly load: () => Load | undefined;
  readonly segments: () => { id: string; zone: string; scl: bigint; inFlightBytes: number; streaming: boolean; errors: number }[];
}

export function createMetrics(registry: Registry, gauges: AgentGauges): AgentMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  gauge('aurora_vdl_bytes', 'Volume durable LSN', () => Number(gauges.vdl()));
  gauge('aurora_reader_replay_bytes', 'LSN up to which this reader has replayed; 0 for a writer', () =>
    Number(gauges.replay()?.replayLsn ?? 0n),
  );
  gauge('aurora_reader_lag_bytes', 'Redo that is durable and that this reader has not replayed', () => {
    const replay = gauges.replay();
    return replay === undefined ? 0 : Number(replay.vdl - replay.replayLsn);
  });
  gauge(
    'aurora_reader_lag_seconds',
    'For how long the oldest redo that this reader has not replayed is known to be durable',
    () => (gauges.replay()?.lagMs ?? 0) / 1000,
  );
  gauge(
    'aurora_warm_cache_share',
    'Of the pages that are local to the writer, the share that is local here; 0 of one that would not be the next writer',
    () => gauges.replay()?.warmth?.share ?? 0,
  );
  gauge(
    'aurora_warm_cache_pages_behind',
    'Pages that are local to the writer and not here; 0 of one that would not be the next writer',
    () => gauges.replay()?.warmth?.pagesBehind ?? 0,
  );
  new Counter({
    name: 'aurora_warm_cache_pages_fetched_total',
    help: 'Pages that were fetched since the writer has them in its cache, since PostgreSQL started',
    registers,
    collect() {
      this.reset();
      this.inc(gauges.replay()?.warmth?.pagesFetched ?? 0);
    },
  });
  new Counter({
    name: 'aurora_reader_conflicts_total',
    help: 'Queries that this reader has canceled because replay had waited for them, since its PostgreSQL started, by what for',
    labelNames: ['conflict'],
    registers,
    collect() {
      // PostgreSQL counts; it begins anew with each start, as a counter may.
      this.reset();
      for (const [conflict, count] of Object.entries(gauges.replay()?.conflicts ?? {})) this.inc({ conflict }, count);
    },
  });
  gauge('aurora_client_connections', 'Connections of clients to PostgreSQL', () => gauges.load()?.connections ?? 0);
  gauge(
    'aurora_cpu_cores',
    'Cores that the agent and PostgreSQL took on average over the last half minute',
    () => (gauges.load()?.cpuMillicores ?? 0) / 1000,
  );
  gauge('aurora_cpu_cores_limit', 'Cores that they may use', () => gauges.load()?.cpus ?? 0);
  gauge('aurora_volume_epoch', 'Volume epoch this writer holds', () => Number(gauges.epoch()));
  gauge('aurora_redo_ring_bytes', 'Redo kept in memory for segments that are behind', gauges.ringBytes);
  gauge('aurora_flushes_waiting', 'WAL flushes that PostgreSQL waits for', gauges.waitingFlushes);
  gauge(
    'aurora_flushes_return_early',
    '1 while the quorum is far, and each session that commits waits for it by itself rather than in the flush',
    gauges.flushesReturnEarly,
  );
  gauge(
    'aurora_lease_remaining_seconds',
    'For how long replies to clients may still leave; 0: they wait',
    () => gauges.leaseRemainingMs() / 1000,
  );
  gauge(
    'aurora_lease_times_run_out',
    'Times the lease ran out after it first held: replies waited until it was renewed',
    gauges.leaseTimesRunOut,
  );
  const ofCache = (name: string, help: string, value: (cache: CacheCounters) => number): void =>
    gauge(name, help, () => {
      const cache = gauges.cache();
      return cache === undefined ? 0 : value(cache);
    });
  ofCache('aurora_cache_bytes', 'Relation pages in the data directory that the volume can give back', (cache) => cache.residentBytes);
  ofCache('aurora_cache_limit_bytes', 'What they may take (spec.compute.cacheSize)', (cache) => cache.limitBytes);
  ofCache(
    'aurora_cache_pages_hit',
    'Pages that PostgreSQL read and found in its data directory, since it started',
    (cache) => cache.pagesReadHere,
  );
  ofCache(
    'aurora_cache_pages_missed',
    'Pages that PostgreSQL read and that came from storage, since it started',
    (cache) => cache.pagesFetched,
  );
  ofCache(
    'aurora_cache_pages_evicted',
    'Pages let go of to stay inside the limit, since PostgreSQL started',
    (cache) => cache.pagesEvicted,
  );
  ofCache('aurora_cache_pages_not_kept', 'Pages from storage that found no room, since PostgreSQL started', (cache) => cache.pagesNotKept);
  new Gauge({
    name: 'aurora_cache_held_bytes',
    help: 'Of a cache over its limit, what cannot be let go of at present, by the reason',
    labelNames: ['reason'],
    registers,
    collect() {
      const held = gauges.cache()?.heldBytes;
      this.set({ reason: 'running-transactions' }, held?.byTransactions ?? 0);
      this.set({ reason: 'not-durable' }, held?.undurable ?? 0);
      this.set({ reason: 'kept-for-good' }, held?.forGood ?? 0);
    },
  });
  const perSegment = (name: string, help: string, value: (segment: ReturnType<AgentGauges['segments']>[number]) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['segment', 'zone'],
      registers,
      collect() {
        for (const segment of gauges.segments()) this.set({ segment: segment.id, zone: segment.zone }, value(segment));
      },
    });
  };
  perSegment('aurora_segment_scl_bytes', 'Segment complete LSN as acknowledged', (segment) => Number(segment.scl));
  perSegment('aurora_segment_in_flight_bytes', 'Redo sent to a segment and not acknowledged', (segment) => segment.inFlightBytes);
  perSegment('aurora_segment_streaming', '1 when the segment is fed from memory', (segment) => (segment.streaming ? 1 : 0));
  perSegment('aurora_segment_stream_errors', 'Failures of the append stream since the epoch began', (segment) => segment.errors);
  const failovers = new Counter({
    name: 'aurora_failovers_total',
    help: "Times this compute took another's place as the writer, by the reason: silent, postgresDied, switchover",
    labelNames: ['reason'],
    registers,
  });
  // From the start: an increase is seen only of a series that was there before.
  for (const reason of TAKEOVER_REASONS) failovers.inc({ reason }, 0);
  return {
    flushSeconds: new LatencyHistogram({
      name: 'aurora_flush_seconds',
      help: 'From a WAL flush request to its durability on a write quorum',
      registers,
    }),
    flushSentSeconds: new LatencyHistogram({
      name: 'aurora_flush_sent_seconds',
      help: 'From a WAL flush request until the last of its redo was read, packed and given to the segments’ connections',
      registers,
    }),
    segmentAckSeconds: new LabelledLatencies({
      name: 'aurora_segment_ack_seconds',
      help: 'From giving a redo batch to a segment’s connection to the acknowledgement that covers it; two of the six get theirs late on purpose while the quorum is quick',
      labelNames: ['segment', 'zone'],
      registers,
    }),
    pageReadSeconds: new LatencyHistogram({ name: 'aurora_page_read_seconds', help: 'Page reads from storage', registers }),
    pagesRead: new Counter({ name: 'aurora_pages_read_total', help: 'Pages read from storage', registers }),
    pagesReadAhead: new Counter({
      name: 'aurora_pages_read_ahead_total',
      help: 'Pages read from storage before PostgreSQL asked for them, once they are given or let go of',
      registers,
    }),
    pagesReadAheadUnused: new Counter({
      name: 'aurora_pages_read_ahead_unused_total',
      help: 'Pages read ahead that PostgreSQL did not ask for',
      registers,
    }),
    pageReadsHedged: new Counter({
      name: 'aurora_page_reads_hedged_total',
      help: 'Page reads for which a second segment was asked',
      registers,
    }),
    pageReadErrors: new Counter({
      name: 'aurora_page_read_errors_total',
      help: 'Page reads that a segment failed',
      labelNames: ['segment', 'code'],
      registers,
    }),
    tokenLogins: new Counter({
      name: 'aurora_token_logins_total',
      help: 'logins at the token port: admitted, refused, or unavailable when the API server or PostgreSQL did not answer',
      labelNames: ['outcome'],
      registers,
    }),
    opens: new Counter({ name: 'aurora_opens_total', help: 'Times the volume was opened', labelNames: ['outcome'], registers }),
    openSeconds: new Histogram({
      name: 'aurora_open_seconds',
      help: 'From the start of an open to PostgreSQL answering',
      buckets: SECONDS,
      registers,
    }),
    failovers,
    failoverSeconds: new Histogram({
      name: 'aurora_failover_seconds',
      help: 'How long each part of such a failover took: detected (since the writer was last heard), opened (the volume), fed (PostgreSQL has all of it), promoted (it takes writes), ready (it answers clients)',
      labelNames: ['phase'],
      buckets: SECONDS,
      registers,
    }),
  };
}
