import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { CustomMetrics } from '../../compute-node/src/custom-queries/custom-metrics.ts';
import { withinBounds } from '../../compute-node/src/custom-queries/series.ts';
import { createInsightsMetrics } from '../../compute-node/src/insights/insights-metrics.ts';
import type { ServerStatistics } from '../../compute-node/src/insights/server-statistics.ts';
import type { TopStatement } from '../../compute-node/src/insights/top-statements.ts';
import { WaitLoad } from '../../compute-node/src/insights/wait-load.ts';
import { createMetrics as createAgentMetrics } from '../../compute-node/src/metrics.ts';
import type { AuroraClusterStatus } from '../../operator/src/api/status-types.ts';
import { createMetrics } from '../../operator/src/metrics.ts';

/** The bounds of docs/monitoring.md. */

async function measured(registry: Registry): Promise<{ readonly series: number; readonly bytes: number }> {
  const text = await registry.metrics();
  return { series: text.split('\n').filter((line) => line.startsWith('aurora_')).length, bytes: Buffer.byteLength(text) };
}

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${index}`);

/** All that PostgreSQL is asked, each at its bound. */
function fullInsights(registry: Registry, load: WaitLoad): void {
  for (const type of many(20))
    load.note(
      many(100).map((event) => ({ type, event, sessions: 1 })),
      1,
    );
  const counts: ServerStatistics = {
    committed: 1,
    rolledBack: 1,
    returned: 1,
    fetched: 1,
    inserted: 1,
    updated: 1,
    deleted: 1,
    buffersHit: 1,
    buffersRead: 1,
    deadlocks: 1,
    tempFiles: 1,
    tempBytes: 1,
    xidAge: 1,
    multixactAge: 1,
    connectionsLimit: 1,
    autovacuumWorkersLimit: 1,
    slots: many(20).map((name) => ({ name, active: false, retainedBytes: 1 })),
  };
  const statement: Partial<TopStatement> = { calls: 1, seconds: 1 };
  createInsightsMetrics(registry, {
    activity: { activity: undefined, load },
    // Those that PostgreSQL gives: the queries have these limits.
    statistics: { statistics: counts },
    statements: { top: { kind: 'known', statements: many(10).map((queryId) => ({ ...statement, queryId })) as TopStatement[] } },
    looks: [],
  });
}

test('what PostgreSQL is asked makes so many series and no more, whatever goes on in it', async () => {
  const load = new WaitLoad();
  const registry = new Registry();
  fullInsights(registry, load);
  expect([...load.totals].length).toBeLessThanOrEqual(53);
  expect((await measured(registry)).series).toBeLessThan(53 + 20 + 3 * 10 + 30);
});

test('a scrape of an agent with everything at its bound, a cluster’s own queries too, is less than 200 kB', async () => {
  const registry = new Registry();
  const segments = many(6).map((id) => ({ id, zone: 'zone-a', scl: 2n ** 60n, inFlightBytes: 1e9, streaming: true, errors: 1e6 }));
  const metrics = createAgentMetrics(registry, {
    replay: () => undefined,
    vdl: () => 2n ** 60n,
    epoch: () => 1000n,
    ringBytes: () => 1e9,
    waitingFlushes: () => 1000,
    flushesReturnEarly: () => 1,
    leaseRemainingMs: () => 1000,
    leaseTimesRunOut: () => 1000,
    cache: () => undefined,
    load: () => undefined,
    segments: () => segments,
  });
  for (const { id, zone } of segments) {
    metrics.segmentAckSeconds.of({ segment: id, zone }).note(0.123456789);
    for (const code of many(20)) metrics.pageReadErrors.inc({ segment: id, code });
  }
  for (const phase of ['detected', 'opened', 'fed', 'promoted', 'ready']) metrics.failoverSeconds.observe({ phase }, 0.123456789);
  fullInsights(registry, new WaitLoad());
  const own = many(50).map((name) =>
    many(20).map((label) => ({
      metric: `aurora_custom_${name}`,
      help: 'Of our own',
      isCounter: false,
      labels: { database: 'app', label: label.repeat(40) },
      value: 1.23456789,
    })),
  );
  new CustomMetrics(registry, () => []).show(withinBounds(own).flatMap((one) => (one === 'over' ? [] : one)));
  const { series, bytes } = await measured(registry);
  expect(series).toBeLessThan(2000);
  expect(bytes).toBeLessThan(200_000);
});

test('a reader more makes two series more of the operator’s, and fifteen are far from its bound', async () => {
  const statusWith = (readers: number): AuroraClusterStatus =>
    ({
      phase: 'Ready',
      instances: many(readers + 1).map((name, index) => ({
        name,
        role: index === 0 ? 'writer' : 'reader',
        state: 'Serving',
        lagMs: index === 0 ? undefined : 1,
      })),
    }) as unknown as AuroraClusterStatus;
  const of = async (readers: number): Promise<{ readonly series: number; readonly bytes: number }> =>
    measured(
      createMetrics({
        queueDepth: () => 0,
        informers: () => [],
        leading: () => true,
        clusters: () => new Map([['default/demo', statusWith(readers)]]),
      }).registry,
    );
  const [one, fifteen] = [await of(1), await of(15)];
  expect(fifteen.series - one.series).toBe(28);
  expect(fifteen.series).toBeLessThan(150);
  expect(fifteen.bytes).toBeLessThan(50_000);
});
