import { Histogram, Registry, type MetricObject } from 'prom-client';
import { CustomMetrics } from '../../compute-node/src/custom-queries/custom-metrics.ts';
import { createInsightsMetrics } from '../../compute-node/src/insights/insights-metrics.ts';
import { createMetrics as createAgentMetrics } from '../../compute-node/src/metrics.ts';
import { createMetrics as createOperatorMetrics } from '../../operator/src/metrics.ts';
import { registerTlsMetrics } from '../../packages/tls/src/tls-metrics.ts';
import { DaemonMetrics } from '../../storage-daemon/src/metrics.ts';

/** docs/reference/metrics.md, from the registries of the programs themselves. */
export function metricsReference(): string {
  const agent = new Registry();
  createAgentMetrics(agent, {
    replay: () => undefined,
    vdl: () => 0n,
    epoch: () => 0n,
    ringBytes: () => 0,
    waitingFlushes: () => 0,
    flushesReturnEarly: () => 0,
    leaseRemainingMs: () => 0,
    leaseTimesRunOut: () => 0,
    cache: () => undefined,
    load: () => undefined,
    segments: () => [],
  });
  new CustomMetrics(agent, () => []);
  createInsightsMetrics(agent, {
    activity: { activity: undefined, load: { totals: [] } },
    statistics: { statistics: undefined },
    statements: { top: { kind: 'unknown', why: '' } },
    looks: [],
  });
  const operator = createOperatorMetrics({ queueDepth: () => 0, informers: () => [], leading: () => true, clusters: () => new Map() });
  const daemon = new DaemonMetrics(
    () => [],
    () => ({ connections: 0, receivedBytes: 0, sentBytes: 0 }),
  );
  for (const registry of [agent, daemon.registry]) registerTlsMetrics(registry, { counts: [] }, undefined);
  return [
    '# Metrics',
    '',
    'Every program serves Prometheus metrics at `/metrics`: the storage daemon on port 7002, the compute agent on 7003, the operator where',
    '`METRICS_LISTEN` says. LSNs are bytes since the beginning of the log. This page is made from the programs by `npm run docs:generate`;',
    'a test keeps the two the same.',
    '',
    ...section('Compute agent', agent),
    ...section('Storage daemon', daemon.registry),
    ...section('Operator', operator.registry),
  ].join('\n');
}

function section(title: string, registry: Registry): string[] {
  const metrics = registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('aurora_'))
    .toSorted((a, b) => a.name.localeCompare(b.name));
  return [`## ${title}`, '', '| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...metrics.map(row), ''];
}

/** prom-client keeps the names of labels on the metric, which its types do not say. */
function row(metric: MetricObject): string {
  const labels = 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map((label) => `\`${String(label)}\``) : [];
  return `| \`${metric.name}\` | ${kindOf(metric)} | ${labels.join(', ')} | ${metric.help} |`;
}

function kindOf(metric: object): string {
  return metric instanceof Histogram ? 'histogram' : metric.constructor.name.toLowerCase();
}
