import { describe, expect, test } from 'vitest';
import type { InstanceOverride } from '../api/types.ts';
import type { ConfigMap, Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { healthy, inWords, makeCluster, NOW, plan, readerReport, withEntry } from '../testing/fixtures.ts';
import { statusOf } from '../testing/statuses.ts';

const LARGE = { limits: { cpu: 8, 'ephemeral-storage': '40Gi' } };
const SMALL = { limits: { cpu: 1, 'ephemeral-storage': '4Gi' } };
const cluster = (instanceOverrides: readonly InstanceOverride[] = [], after = '2s') =>
  makeCluster({
    spec: { storage: { size: '10Gi' }, instances: 3, compute: { resources: LARGE }, instanceOverrides, failover: { after } },
    status: { firstReadyAt: new Date(NOW - 600_000).toISOString(), writer: 'demo-1' },
  });
/** What is there was made from a spec without overrides. */
const changedTo = (instanceOverrides: readonly InstanceOverride[], after?: string): Observed => ({
  ...healthy(cluster()),
  cluster: cluster(instanceOverrides, after),
});
const container = (pod: Pod | undefined) => pod?.spec.containers[0];

describe('a single instance', () => {
  test('gets resources of its own, and the cache that they leave room for', () => {
    const [first, second] = healthy(cluster([{ instance: 2, resources: SMALL }])).computePods;
    const cache = (pod: Pod | undefined) => container(pod)?.env?.find(({ name }) => name === 'AURORA_CACHE_MIB')?.value;
    expect([container(first)?.resources, cache(first)]).toEqual([LARGE, String(20 * 1024)]);
    expect([container(second)?.resources, cache(second)]).toEqual([SMALL, String(2 * 1024)]);
  });

  test('has the tier in its status that its agent goes by, also while that does not answer', () => {
    const observed = healthy(cluster([{ instance: 3, promotionTier: 15 }]));
    const tiers = (one: Observed) => statusOf(one).instances?.map(({ promotionTier }) => promotionTier);
    expect(tiers(observed)).toEqual([undefined, undefined, undefined]);
    const told = { ...observed, agents: withEntry(observed.agents, 'demo-3', readerReport('demo-3', { promotionTier: 15 })) };
    expect(tiers(told)).toEqual([undefined, undefined, 15]);
    const after = { ...observed, cluster: { ...observed.cluster, status: statusOf(told) } };
    expect(tiers(after)).toEqual([undefined, undefined, 15]);
    expect(readAgentStatus({ phase: 'running', promotionTier: 0 }, 'uid', NOW).promotionTier).toBe(0);
  });
});

describe('what changes', () => {
  test('reaches the instance that it is about and no other', () => {
    expect(inWords(changedTo([{ instance: 2, resources: SMALL }]))).toEqual(['delete pod demo-2: its spec changed']);
  });

  test('of a tier or the time of a failover, reaches running pods, and replaces none', () => {
    const changed = changedTo([{ instance: 2, promotionTier: 3 }], '5s');
    expect(inWords(changed)).toEqual(['apply ConfigMap demo-settings']);
    const said = plan(changed).actions.flatMap((action) => (action.kind === 'apply' ? [action.object as ConfigMap] : []))[0];
    expect(JSON.parse(said?.data?.['failover.json'] ?? '')).toMatchObject({
      afterMs: 5000,
      drainMs: 2000,
      tiers: { 'demo-1': 1, 'demo-2': 3, 'demo-16': 1 },
    });
    expect(plan(changed).outdated).toEqual([]);
  });

  test('of the warm cache of the next writer, reaches running pods, and replaces none', () => {
    const saidWith = (warmCache: { enabled?: boolean; pagesPerSecond?: number }): unknown => {
      const before = healthy(cluster([]));
      const { spec } = before.cluster;
      const failover = { ...spec.failover, warmCache: { ...spec.failover.warmCache, ...warmCache } };
      const changed = { ...before, cluster: { ...before.cluster, spec: { ...spec, failover } } };
      expect(inWords(changed)).toEqual(['apply ConfigMap demo-settings']);
      expect(plan(changed).outdated).toEqual([]);
      const said = plan(changed).actions.flatMap((action) => (action.kind === 'apply' ? [action.object as ConfigMap] : []))[0];
      return (JSON.parse(said?.data?.['failover.json'] ?? '') as { warmPagesPerSecond: unknown }).warmPagesPerSecond;
    };
    expect(saidWith({ pagesPerSecond: 250 })).toBe(250);
    expect(saidWith({ enabled: false })).toBe(0);
  });

  test('that is said twice over changes nothing', () => {
    expect(inWords(changedTo([{ instance: 2, promotionTier: 1, resources: LARGE }]))).toEqual([]);
    expect(inWords(healthy(cluster([{ instance: 2, promotionTier: 4, resources: SMALL }])))).toEqual([]);
  });
});
