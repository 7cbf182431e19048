import { describe, expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import type { InstanceOverride } from '../api/types.ts';
import type { Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { healthy, inWords, makeCluster, NOW, plan } from '../testing/fixtures.ts';
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
  test('gets resources of its own, the cache that they leave room for, and its tier', () => {
    const [first, second] = healthy(cluster([{ instance: 2, promotionTier: 0, resources: SMALL }], '1500ms')).computePods;
    const cache = (pod: Pod | undefined) => container(pod)?.env?.find(({ name }) => name === 'AURORA_CACHE_MIB')?.value;
    expect([container(first)?.resources, cache(first)]).toEqual([LARGE, String(20 * 1024)]);
    expect([container(second)?.resources, cache(second)]).toEqual([SMALL, String(2 * 1024)]);
    const given = (pod: Pod | undefined) =>
      Object.fromEntries(
        (container(pod)?.env ?? []).flatMap(({ name, valueFrom }) => {
          const annotation = /annotations\['(.*)'\]/.exec(valueFrom?.fieldRef.fieldPath ?? '')?.[1];
          return annotation === undefined ? [] : [[name, pod?.metadata.annotations?.[annotation]]];
        }),
      );
    expect(given(first)).toMatchObject({ AURORA_PROMOTION_TIER: '1', AURORA_FAILOVER_AFTER_MS: '1500' });
    expect(given(second)).toMatchObject({ AURORA_PROMOTION_TIER: '0', AURORA_FAILOVER_AFTER_MS: '1500' });
  });

  test('is what its status says, as its pod runs', () => {
    const tiers = (observed: Observed) => statusOf(observed).instances?.map(({ promotionTier }) => promotionTier);
    expect(tiers(healthy(cluster([{ instance: 3, promotionTier: 15 }])))).toEqual([1, 1, 15]);
    expect(tiers(changedTo([{ instance: 3, promotionTier: 15 }]))).toEqual([1, 1, 1]);
  });
});

describe('what changes', () => {
  test('reaches the instance that it is about and no other', () => {
    expect(inWords(changedTo([{ instance: 2, resources: SMALL }]))).toEqual(['delete pod demo-2: its spec changed']);
    expect(inWords(changedTo([{ instance: 2, promotionTier: 3 }]))).toEqual(['delete pod demo-2: its promotion tier changed']);
    expect(inWords(changedTo([{ instance: 9, promotionTier: 3 }]))).toEqual([]);
  });

  test('of a tier or the time of a failover, leaves the writer as it is until it is a reader', () => {
    expect(inWords(changedTo([{ instance: 1, promotionTier: 0 }]))).toEqual([]);
    const later = changedTo([], '5s');
    expect(inWords(later)).toEqual(['delete pod demo-3: spec.failover.after changed']);
    expect(plan(later).outdated).toEqual(['demo-2', 'demo-3']);
    const moved = { ...later, cluster: { ...later.cluster, status: { ...later.cluster.status, writer: 'demo-2' } } };
    expect(plan(moved).outdated).toEqual(['demo-1', 'demo-3']);
  });

  test('that is said twice over changes nothing', () => {
    expect(inWords(changedTo([{ instance: 2, promotionTier: 1, resources: LARGE }]))).toEqual([]);
    expect(inWords(healthy(cluster([{ instance: 2, promotionTier: 4, resources: SMALL }])))).toEqual([]);
  });
});

test('pods of before, which were given neither, show no tier', () => {
  const observed = healthy(cluster());
  const bare = observed.computePods.map((pod) => {
    const { [ANNOTATION.promotionTier]: _tier, ...annotations } = pod.metadata.annotations ?? {};
    return { ...pod, metadata: { ...pod.metadata, annotations } };
  });
  expect(statusOf({ ...observed, computePods: bare }).instances?.map((one) => 'promotionTier' in one)).toEqual([false, false, false]);
});
