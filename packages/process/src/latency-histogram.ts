import { Histogram, type MetricObjectWithValues, type MetricType, type MetricValue, type Registry } from 'prom-client';

/** Seconds, from 50 µs to 10 s, six to a decade: close enough for a quantile, few enough for a scrape. */
export const LATENCY_BUCKETS: readonly number[] = [-5, -4, -3, -2, -1, 0]
  .flatMap((decade) => [1, 1.5, 2, 3, 5, 7].map((digit) => Number(`${digit}e${decade}`)))
  .filter((bound) => bound >= 0.00005)
  .concat(10);

export interface LatencyHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly registers: Registry[];
}

/**
 * A histogram of latencies for the path of every commit. prom-client's own makes some objects and hashes its labels for
 * each value; this one counts in an array, and makes Prometheus's form when somebody asks.
 */
export class LatencyHistogram extends Histogram {
  /** By bucket; the last is for what is over them all. */
  readonly #counts = new Float64Array(LATENCY_BUCKETS.length + 1);
  #sum = 0;

  readonly #options: LatencyHistogramOptions;

  constructor(options: LatencyHistogramOptions) {
    super({ ...options, buckets: [...LATENCY_BUCKETS] });
    this.#options = options;
  }

  /** Counts one value, in seconds. */
  note(seconds: number): void {
    let low = 0;
    let high = LATENCY_BUCKETS.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (seconds <= LATENCY_BUCKETS[middle]!) high = middle;
      else low = middle + 1;
    }
    this.#counts[low]!++;
    this.#sum += seconds;
  }

  override get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const { name, help } = this.#options;
    const values: (MetricValue<string> & { metricName: string })[] = [];
    let count = 0;
    for (const [index, bound] of [...LATENCY_BUCKETS, '+Inf'].entries()) {
      count += this.#counts[index] ?? 0;
      values.push({ metricName: `${name}_bucket`, labels: { le: bound }, value: count });
    }
    values.push({ metricName: `${name}_sum`, labels: {}, value: this.#sum }, { metricName: `${name}_count`, labels: {}, value: count });
    // A text, whatever its type says.
    const type = 'histogram' as unknown as MetricType;
    return Promise.resolve({ name, help, type, aggregator: 'sum', collect: () => undefined, values });
  }

  /** The registry asks for this where a metric has it; prom-client's types do not say so. */
  getForPromString(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    return this.get();
  }
}
