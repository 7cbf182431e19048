import { growth, histogramQuantile, total, type Metrics } from '@kube-aurora/cluster-view';
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
  /** Sessions at work on average, by `Type:Event`, most first. */
  readonly load: readonly (readonly [event: string, sessions: number])[] | undefined;
  /** Bytes that each segment has yet to get, by its id, as this writer feeds them; empty of a reader. */
  readonly segmentLag: ReadonlyMap<string, number>;
}

const LOAD = 'aurora_load_session_seconds_total';
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

export function loadTotal(load: InstanceFigures['load']): number | undefined {
  return load?.reduce((sum, [, sessions]) => sum + sessions, 0);
}

/** The events with most load, and the rest as one. */
export function topLoad(load: NonNullable<InstanceFigures['load']>, known: ReadonlySet<string>, max: number): ReadonlyMap<string, number> {
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

function loadBetween(before: Metrics | undefined, after: Metrics, seconds: number): InstanceFigures['load'] {
  const samples = after.get(LOAD);
  const earlier = before?.get(LOAD);
  if (before === undefined || seconds <= 0 || samples === undefined) return undefined;
  const keyOf = (labels: Readonly<Record<string, string>>): string =>
    labels['type'] === labels['event'] ? (labels['type'] ?? '') : `${labels['type'] ?? ''}:${labels['event'] ?? ''}`;
  const was = new Map(earlier?.map(({ labels, value }) => [keyOf(labels), value]));
  const grown = samples.map(({ labels, value }) => [keyOf(labels), (value - (was.get(keyOf(labels)) ?? 0)) / seconds] as const);
  // A counter that went back began anew: what it says is of no known time.
  if (grown.some(([, sessions]) => sessions < 0)) return undefined;
  return grown.toSorted((a, b) => b[1] - a[1]);
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
