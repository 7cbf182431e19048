import { Counter, Gauge, type Registry } from 'prom-client';
import type { CustomQueries } from './custom-queries.ts';
import type { Series } from './series.ts';

/** Metrics of a cluster's own queries: which there are changes with its ConfigMap. */
export class CustomMetrics {
  readonly #registry: Registry;
  readonly #names = new Set<string>();

  constructor(registry: Registry, queries: () => CustomQueries['failures']) {
    this.#registry = registry;
    new Gauge({
      name: 'aurora_custom_query_up',
      help: 'Of the cluster’s own queries (spec.monitoring), whose metrics are aurora_custom_NAME_COLUMN: 1 while the query is answered',
      labelNames: ['query'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { query, isFailing } of queries()) this.set({ query }, isFailing ? 0 : 1);
      },
    });
  }

  /** Shows these in the place of those before. */
  show(series: readonly Series[]): void {
    for (const name of this.#names) this.#registry.removeSingleMetric(name);
    this.#names.clear();
    for (const [name, some] of Map.groupBy(series, ({ metric }) => metric)) {
      const [first] = some;
      if (first === undefined) continue;
      this.#names.add(name);
      const { help, isCounter, labels } = first;
      const options = { name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
      if (isCounter) {
        const counter = new Counter(options);
        // PostgreSQL counts; what is below zero is no count.
        for (const one of some) counter.inc(one.labels, Math.max(0, one.value));
      } else {
        const gauge = new Gauge(options);
        for (const one of some) gauge.set(one.labels, one.value);
      }
    }
  }
}
