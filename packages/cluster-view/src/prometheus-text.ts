/** What a program serves at /metrics, by name. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export type Metrics = ReadonlyMap<string, readonly Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED: Readonly<Record<string, string>> = { n: '\n', '\\': '\\', '"': '"' };

/** Reads Prometheus' text format; lines that are none of it are left out. */
export function parseMetrics(text: string): Metrics {
  const metrics = new Map<string, Sample[]>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, labels = '', value = ''] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const number = value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value);
    const sample = { labels: labelsOf(labels), value: number };
    const known = metrics.get(name);
    if (known === undefined) metrics.set(name, [sample]);
    else known.push(sample);
  }
  return metrics;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, key = '', value = ''] of text.matchAll(LABEL))
    labels[key] = value.replaceAll(/\\(.)/g, (whole, letter: string) => ESCAPED[letter] ?? whole);
  return labels;
}

/** The sum over all labels; undefined when there is none. */
export function total(metrics: Metrics | undefined, name: string): number | undefined {
  const samples = metrics?.get(name);
  return samples === undefined || samples.length === 0 ? undefined : samples.reduce((sum, { value }) => sum + value, 0);
}

/** How much it has grown; undefined where it is not known, or began anew. */
export function growth(before: Metrics | undefined, after: Metrics | undefined, name: string): number | undefined {
  const [from, to] = [total(before, name), total(after, name)];
  return from === undefined || to === undefined || to < from ? undefined : to - from;
}

/** The average of what a histogram saw between two looks, in its unit; undefined when it saw nothing. */
export function meanBetween(before: Metrics | undefined, after: Metrics | undefined, histogram: string): number | undefined {
  const count = growth(before, after, `${histogram}_count`);
  const sum = growth(before, after, `${histogram}_sum`);
  return count === undefined || sum === undefined || count === 0 ? undefined : sum / count;
}

/** What a histogram saw between two looks: by bound, ascending, how many were no higher. Empty when it saw nothing, or began anew. */
function bucketsBetween(
  before: Metrics | undefined,
  after: Metrics | undefined,
  histogram: string,
): readonly (readonly [bound: number, count: number])[] {
  const counts = (metrics: Metrics | undefined): Map<number, number> => {
    const byBound = new Map<number, number>();
    for (const { labels, value } of metrics?.get(`${histogram}_bucket`) ?? []) {
      const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
      byBound.set(bound, (byBound.get(bound) ?? 0) + value);
    }
    return byBound;
  };
  const earlier = counts(before);
  const seen = [...counts(after)]
    .map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)] as const)
    .toSorted(([a], [b]) => a - b);
  return (seen.at(-1)?.[1] ?? 0) > 0 ? seen : [];
}

/** So many of a hundred were no higher than this: the bound of their bucket, which is as exact as a histogram is. */
export function quantileBetween(
  before: Metrics | undefined,
  after: Metrics | undefined,
  histogram: string,
  share: number,
): number | undefined {
  const seen = bucketsBetween(before, after, histogram);
  const all = seen.at(-1)?.[1] ?? 0;
  return seen.find(([, count]) => count >= all * share)?.[0];
}

/**
 * The same within its bucket, as if what is in one lay evenly between its bounds: for curves, as Prometheus' histogram_quantile. Undefined
 * too before there were two looks. Past the highest bound it is that bound.
 */
export function histogramQuantile(
  before: Metrics | undefined,
  after: Metrics | undefined,
  histogram: string,
  share: number,
): number | undefined {
  if (before === undefined) return undefined;
  const seen = bucketsBetween(before, after, histogram);
  const rank = (seen.at(-1)?.[1] ?? 0) * share;
  const at = seen.findIndex(([, count]) => count >= rank);
  const [bound, count] = seen[at] ?? [];
  if (bound === undefined || count === undefined) return undefined;
  const [lower, below] = seen[at - 1] ?? [0, 0];
  if (bound === Infinity) return lower;
  return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below);
}
