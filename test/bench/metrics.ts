/** Reads a program's /metrics (Prometheus text format). */

export type Metrics = ReadonlyMap<string, number>;

/** Series name to value; series of one name that differ in labels other than `le` are added up. */
export async function scrape(address: string): Promise<Metrics> {
  const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const metrics = new Map<string, number>();
  for (const line of (await response.text()).split('\n')) {
    const match = /^([a-z_][a-z0-9_]*)(\{[^}]*\})? (\S+)/.exec(line);
    if (match?.[1] === undefined) continue;
    const bound = /[{,]le="([^"]+)"/.exec(match[2] ?? '')?.[1];
    const name = bound === undefined ? match[1] : `${match[1]}{${bound}}`;
    metrics.set(name, (metrics.get(name) ?? 0) + Number(match[3]));
  }
  return metrics;
}

/** How much a counter (or a gauge) moved. */
export function moved(before: Metrics, after: Metrics, name: string): number {
  return (after.get(name) ?? 0) - (before.get(name) ?? 0);
}

/**
 * The quantile of what a histogram counted between two scrapes, seconds, as an upper bound: the histogram's own bound
 * at or above it. NaN when it counted nothing.
 */
export function histogramQuantile(before: Metrics, after: Metrics, name: string, part: number): number {
  const count = moved(before, after, `${name}_count`);
  const bounds = [...after.keys()].flatMap((key) => (key.startsWith(`${name}_bucket{`) ? [key.slice(name.length + 8, -1)] : []));
  const finite = bounds.filter((bound) => bound !== '+Inf').toSorted((a, b) => Number(a) - Number(b));
  if (count === 0) return Number.NaN;
  for (const bound of finite) if (moved(before, after, `${name}_bucket{${bound}}`) >= part * count) return Number(bound);
  return Number.POSITIVE_INFINITY;
}
