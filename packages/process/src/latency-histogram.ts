import { Histogram, type MetricObjectWithValues, type MetricType, type MetricValue, type Registry } from 'prom-client';

/** Seconds, from 50 µs to 10 s, six to a decade: close enough for a quantile, few enough for a scrape. */
export const LATENCY_BUCKETS: readonly number[] = [-5, -4, -3, -2, -1, 0]
  .flatMap((decade) => [1, 1.5, 2, 3, 5, 7].map((digit) => Number(`${digit}e${decade}`)))
  .filter((bound) => bound >= 0.00005)
  .concat(10);

export interface LatencyHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: string[];
  readonly registers: Registry[];
}

/** Counts latencies in an array, for the path of every commit. */
export class Latencies {
  /** By bucket; the last is for what is over them all. */
  readonly #counts = new Float64Array(LATENCY_BUCKETS.length + 1);
  #sum = 0;

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

  /** In Prometheus's form. */
  values(name: string, labels: Readonly<Record<string, string>>): NamedValue[] {
    const values: NamedValue[] = [];
    let count = 0;
    for (const [index, bound] of [...LATENCY_BUCKETS, '+Inf'].entries()) {
      count += this.#counts[index] ?? 0;
      values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: count });
    }
    values.push({ metricName: `${name}_sum`, labels, value: this.#sum }, { metricName: `${name}_count`, labels, value: count });
    return values;
  }
}

type NamedValue = MetricValue<string> & { metricName: string };
type Told = Promise<MetricObjectWithValues<MetricValue<string>>>;

/** prom-client's own histogram makes some objects and hashes its labels for each value; these make its form when somebody asks. */
abstract class ToldHistogram extends Histogram {
  readonly #options: LatencyHistogramOptions;

  constructor(options: LatencyHistogramOptions) {
    super({ ...options, buckets: [...LATENCY_BUCKETS] });
    this.#options = options;
  }

  protected abstract values(name: string): NamedValue[];

  override get(): Told {
    const { name, help } = this.#options;
    // A text, whatever its type says.
    const type = 'histogram' as unknown as MetricType;
    return Promise.resolve({ name, help, type, aggregator: 'sum', collect: () => undefined, values: this.values(name) });
  }

  /** The registry asks for this where a metric has it; prom-client's types do not say so. */
  getForPromString(): Told {
    return this.get();
  }
}

/** A histogram of latencies. */
export class LatencyHistogram extends ToldHistogram {
  readonly #latencies = new Latencies();

  /** Counts one value, in seconds. */
  note(seconds: number): void {
    this.#latencies.note(seconds);
  }

  protected override values(name: string): NamedValue[] {
    return this.#latencies.values(name, {});
  }
}

/** A histogram of latencies for each of a few things, told apart by labels. */
export class LabelledLatencies extends ToldHistogram {
  readonly #each = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly latencies: Latencies }>();

  /** Those of one; with the same labels each time it is asked for. */
  of(labels: Readonly<Record<string, string>>): Latencies {
    const key = Object.values(labels).join('\0');
    const found = this.#each.get(key);
    if (found !== undefined) return found.latencies;
    const latencies = new Latencies();
    this.#each.set(key, { labels, latencies });
    return latencies;
  }

  protected override values(name: string): NamedValue[] {
    return [...this.#each.values()].flatMap(({ labels, latencies }) => latencies.values(name, labels));
  }
}
