import { Counter, Gauge, type Registry } from 'prom-client';

/** Makes a metric whose series are set when somebody scrapes it, and whose series of before are gone then. */
export type Scraped<Metric> = (name: string, help: string, labelNames: string[], collect: (metric: Metric) => void) => void;

interface MetricOptions<Metric> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
  readonly collect: (this: Metric) => void;
}

function scraped<Metric extends { reset(): void }>(
  Kind: new (options: MetricOptions<Metric>) => Metric,
  registry: Registry,
): Scraped<Metric> {
  return (name, help, labelNames, collect) => {
    new Kind({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        collect(this);
      },
    });
  };
}

export const scrapedGauges = (registry: Registry): Scraped<Gauge> => scraped(Gauge, registry);

/** Of what somebody else counts, who may begin anew. */
export const scrapedCounters = (registry: Registry): Scraped<Counter> => scraped(Counter, registry);
