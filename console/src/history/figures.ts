import { growth, histogramQuantile, loadBetween, total, type Load, type Metrics } from '@kube-aurora/cluster-view';
import { OTHER_LOAD } from '../answers/answers.ts';

/** Two looks at one program. */
export interface Looks {
  readonly before: Metrics | undefined;
  readonly after: Metrics;
  readonly seconds: number;
}

/** What an instance did between two looks; undefined: it does not say, or began anew meanwhile. */
export interface InstanceFigures {
  readonly commitP50Ms: number | undefined;
  readonly commitP99Ms: number | undefined;
  readonly transactionsPerSecond: number | undefined;
  readonly redoBytesPerSecond: number | undefined;
  readonly connections: number | undefined;
  readonly connectionsLimit: number | undefined;
  readonly cpuCores: number | undefined;
  readonly cpuLimit: number | undefined;
  readonly lagMs: number | undefined;
  readonly vdl: number | undefined;
  readonly load: Load | undefined;
  /** Bytes that each segment has yet to get, by its id, as this writer feeds them; empty of a reader. */
  readonly segmentLag: ReadonlyMap<string, number>;
}

const FLUSH = 'aurora_flush_seconds';

/** Pure: from what was scraped twice. */
export function instanceFigures({ before, after, seconds }: Looks): InstanceFigures {
  const perSecond = (grown: number | undefined): number | undefined => (grown === undefined || seconds <= 0 ? undefined : grown / seconds);
  const quantile = (share: number): number | undefined => {
    const value = histogramQuantile(before, after, FLUSH, share);
    return value === undefined ? undefined : value * 1000;
  };
  const committed = (metrics: Metrics | undefined): number | undefined =>
    metrics?.get('aurora_transactions_total')?.find(({ labels }) => labels['outcome'] === 'committed')?.value;
  const lag = total(after, 'aurora_reader_lag_seconds');
  return {
    commitP50Ms: quantile(0.5),
    commitP99Ms: quantile(0.99),
    transactionsPerSecond: perSecond(difference(committed(before), committed(after))),
    redoBytesPerSecond: perSecond(growth(before, after, 'aurora_vdl_bytes')),
    connections: total(after, 'aurora_client_connections'),
    connectionsLimit: total(after, 'aurora_connections_limit'),
    cpuCores: total(after, 'aurora_cpu_cores'),
    cpuLimit: total(after, 'aurora_cpu_cores_limit'),
    vdl: total(after, 'aurora_vdl_bytes'),
    lagMs: lag === undefined ? undefined : lag * 1000,
    load: loadBetween(before, after, seconds),
    segmentLag: segmentLags(after),
  };
}

export function loadTotal(load: Load | undefined): number | undefined {
  return load?.reduce((sum, [, sessions]) => sum + sessions, 0);
}

/** The events with most load, and the rest as one. */
export function topLoad(load: Load, known: ReadonlySet<string>, max: number): ReadonlyMap<string, number> {
  const kept = new Map<string, number>();
  // Which have series already keep them, so that a curve does not end because another event was busier for a moment.
  const names = new Set(known);
  for (const [event, sessions] of load) {
    if (!names.has(event) && names.size < max && sessions > 0) names.add(event);
    const name = names.has(event) ? event : OTHER_LOAD;
    kept.set(name, (kept.get(name) ?? 0) + sessions);
  }
  for (const event of known) if (!kept.has(event)) kept.set(event, 0);
  return kept;
}

function segmentLags(metrics: Metrics): ReadonlyMap<string, number> {
  const vdl = total(metrics, 'aurora_vdl_bytes');
  if (vdl === undefined || vdl === 0) return new Map();
  return new Map(
    (metrics.get('aurora_segment_scl_bytes') ?? [])
      .filter(({ value }) => value > 0)
      .map(({ labels, value }) => [labels['segment'] ?? '', Math.max(0, vdl - value)]),
  );
}

function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined || after < before ? undefined : after - before;
}
