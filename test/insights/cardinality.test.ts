import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createInsightsMetrics } from '../../compute-node/src/insights/insights-metrics.ts';
import type { ServerStatistics } from '../../compute-node/src/insights/server-statistics.ts';
import type { TopStatement } from '../../compute-node/src/insights/top-statements.ts';
import { WaitLoad } from '../../compute-node/src/insights/wait-load.ts';
import type { AuroraClusterStatus } from '../../operator/src/api/status-types.ts';
import { createMetrics } from '../../operator/src/metrics.ts';

/** The bounds of docs/monitoring.md. */

async function measured(registry: Registry): Promise<{ readonly series: number; readonly bytes: number }> {
  const text = await registry.metrics();
  return { series: text.split('\n').filter((line) => line.startsWith('aurora_')).length, bytes: Buffer.byteLength(text) };
}

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${index}`);

test('what PostgreSQL is asked makes so many series and no more, whatever goes on in it', async () => {
  const load = new WaitLoad();
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
  const registry = new Registry();
  createInsightsMetrics(registry, {
    activity: { activity: undefined, load },
    // Those that PostgreSQL gives: the queries have these limits.
    statistics: { statistics: counts },
    statements: { top: { kind: 'known', statements: many(10).map((queryId) => ({ ...statement, queryId })) as TopStatement[] } },
    looks: [],
  });
  expect([...load.totals].length).toBeLessThanOrEqual(53);
  expect((await measured(registry)).series).toBeLessThan(53 + 20 + 3 * 10 + 30);
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
