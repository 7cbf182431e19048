import { collectDefaultMetrics, type Registry } from 'prom-client';

/** Sampling wakes the process at this interval, idle or not. */
const EVENT_LOOP_SAMPLE_MS = 3_600_000;
const SAMPLED = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];

/**
 * CPU, memory, handles, garbage collection and event loop lag of this process. The lag is measured when it is asked
 * for; prom-client's histogram of it would cost a hundred wake-ups a second in each of our processes, also when nothing
 * happens.
 */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  for (const statistic of SAMPLED) registry.removeSingleMetric(`nodejs_eventloop_lag_${statistic}_seconds`);
}
