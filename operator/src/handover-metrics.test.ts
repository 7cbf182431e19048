import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { AuroraClusterStatus, FailoverStatus, SwitchoverStatus } from './api/status-types.ts';
import { HandoverMetrics } from './handover-metrics.ts';
import { handoversBetween } from './status/handovers.ts';

const AT = '2026-11-27T02:00:00.000Z';
const FAILOVER: FailoverStatus = {
  from: 'demo-1',
  to: 'demo-2',
  reason: 'Silent',
  at: AT,
  tookMs: 2_400,
  inPlace: true,
  phases: { detectedMs: 2_000, openedMs: 100, fedMs: 50, promotedMs: 50, readyMs: 200 },
};
const SWITCHOVER: SwitchoverStatus = { to: 'demo-2', from: 'demo-1', cause: 'Annotation', state: 'InProgress', message: '', startedAt: AT };
const DONE: SwitchoverStatus = {
  ...SWITCHOVER,
  state: 'Done',
  endedAt: '2026-11-27T02:00:00.700Z',
  phases: { drainedMs: 20, openedMs: 40 },
};
const TOLD: SwitchoverStatus = { ...DONE, transactions: { finished: 3, cutOff: 1 } };

test('a failover and the end of a switchover are told once, whoever saw them first', () => {
  const kinds = (before: AuroraClusterStatus | undefined, after: AuroraClusterStatus) =>
    handoversBetween(before, after).map((one) => (one.kind === 'failover' ? one.reason : one.outcome));
  expect(kinds(undefined, {})).toEqual([]);
  expect(kinds({}, { failover: FAILOVER })).toEqual(['Silent']);
  expect(kinds({ failover: FAILOVER }, { failover: FAILOVER })).toEqual([]);
  expect(kinds({ failover: FAILOVER }, { failover: { ...FAILOVER, at: '2026-11-27T03:00:00.000Z', reason: 'PostgresDied' } })).toEqual([
    'PostgresDied',
  ]);
  expect(kinds({}, { switchover: SWITCHOVER })).toEqual([]);
  expect(kinds({ switchover: SWITCHOVER }, { switchover: DONE })).toEqual(['Done']);
  expect(kinds({ switchover: DONE }, { switchover: DONE })).toEqual([]);
  // Refused at once, and the annotation that asked for it gone later.
  const refused = { ...SWITCHOVER, state: 'Refused', endedAt: AT, annotated: true } as const;
  expect(kinds({ switchover: DONE }, { switchover: { ...refused, startedAt: '2026-11-27T04:00:00.000Z' } })).toEqual(['Refused']);
  const { annotated: _gone, ...closed } = refused;
  expect(kinds({ switchover: refused }, { switchover: closed })).toEqual([]);
});

test('they are counted by cluster, from zero, with the seconds of each part, until the cluster is no more', async () => {
  const registry = new Registry();
  const metrics = new HandoverMetrics(registry);
  const lines = async (name: string) => (await registry.metrics()).split('\n').filter((line) => line.startsWith(name));
  metrics.follow('default/demo');
  expect(await lines('aurora_cluster_failovers_total')).toEqual([
    'aurora_cluster_failovers_total{namespace="default",cluster="demo",reason="Silent"} 0',
    'aurora_cluster_failovers_total{namespace="default",cluster="demo",reason="PostgresDied"} 0',
  ]);
  for (const handover of [
    ...handoversBetween({}, { failover: FAILOVER }),
    ...handoversBetween({ switchover: SWITCHOVER }, { switchover: TOLD }),
  ])
    metrics.count('default/demo', handover);
  metrics.follow('default/demo');
  expect(await lines('aurora_cluster_failovers_total')).toContain(
    'aurora_cluster_failovers_total{namespace="default",cluster="demo",reason="Silent"} 1',
  );
  expect(await lines('aurora_cluster_failover_seconds_sum')).toContain(
    'aurora_cluster_failover_seconds_sum{namespace="default",cluster="demo",phase="all"} 2.4',
  );
  expect(await lines('aurora_cluster_failover_seconds_sum')).toHaveLength(6);
  expect(await lines('aurora_cluster_switchover_transactions_total')).toEqual([
    'aurora_cluster_switchover_transactions_total{namespace="default",cluster="demo",outcome="finished"} 3',
    'aurora_cluster_switchover_transactions_total{namespace="default",cluster="demo",outcome="cutOff"} 1',
  ]);
  expect(await lines('aurora_cluster_switchover_seconds_sum')).toEqual([
    'aurora_cluster_switchover_seconds_sum{namespace="default",cluster="demo",phase="drained"} 0.02',
    'aurora_cluster_switchover_seconds_sum{namespace="default",cluster="demo",phase="opened"} 0.04',
    'aurora_cluster_switchover_seconds_sum{namespace="default",cluster="demo",phase="all"} 0.7',
  ]);
  metrics.forget('default/demo');
  expect((await registry.metrics()).includes('demo')).toBe(false);
});
