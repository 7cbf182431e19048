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

/** So many of a hundred were no higher than this: the bound of their bucket, which is as exact as a histogram is. */
export function quantileBetween(
  before: Metrics | undefined,
  after: Metrics | undefined,
  histogram: string,
  share: number,
): number | undefined {
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
  const all = seen.at(-1)?.[1] ?? 0;
  return all <= 0 ? undefined : seen.find(([, count]) => count >= all * share)?.[0];
}
