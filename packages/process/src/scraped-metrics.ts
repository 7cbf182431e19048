import { Counter, Gauge, type Registry } from 'prom-client';

/** Makes a metric whose series are set when somebody scrapes it, and whose series of before are gone then. */
export type Scraped<Metric> = (name: string, help: string, labelNames: string[], collect: (metric: Metric) => void) => void;

export function scrapedGauges(registry: Registry): Scraped<Gauge> {
  return (name, help, labelNames, collect) => {
    new Gauge({
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

/** Of what somebody else counts, who may begin anew. */
export function scrapedCounters(registry: Registry): Scraped<Counter> {
  return (name, help, labelNames, collect) => {
    new Counter({
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
