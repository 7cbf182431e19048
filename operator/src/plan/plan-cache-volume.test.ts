import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import type { CacheVolumeSpec } from '../api/types.ts';
import type { Pod, StorageClass, VolumeClaim } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { cacheClaimOf } from '../specs/cache-volume.ts';
import { healthy, inWords, makeCluster, NOW, plan, running } from '../testing/fixtures.ts';
import { condition, ran, statusOf } from '../testing/statuses.ts';

/** Compute pods with a volume for their files. */

const ENCRYPTED: CacheVolumeSpec = { size: '40Gi', storageClassName: 'encrypted' };
const storageClass = (name: string): StorageClass => ({ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name } });
const clusterWith = (cacheVolume: CacheVolumeSpec | undefined, instances = 1) =>
  makeCluster({
    spec: { storage: { size: '10Gi' }, instances, ...(cacheVolume === undefined ? {} : { compute: { cacheVolume } }) },
    status: ran(),
  });
const withVolumes = (cacheVolume: CacheVolumeSpec | undefined, instances = 1): Observed => {
  const observed = healthy(clusterWith(cacheVolume, instances));
  const claims = observed.computePods.flatMap((pod) => claimOf(pod, 'Bound') ?? []);
  return {
    ...observed,
    storageClasses: [storageClass('encrypted')],
    cacheClaims: new Map(claims.map((claim) => [claim.metadata.name, claim])),
  };
};
/** As Kubernetes makes it. */
function claimOf(pod: Pod, phase: string, change: Partial<VolumeClaim['metadata']> = {}): VolumeClaim | undefined {
  const wanted = cacheClaimOf(pod);
  if (wanted === undefined) return undefined;
  const owner = { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid ?? '', controller: true };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: wanted.name, ...wanted.metadata, ownerReferences: [owner], ...change },
    spec: wanted.spec,
    status: { phase },
  };
}
/** The writer's pod is new, and no node takes it. */
function waiting(observed: Observed, seconds: number, claim: (pod: Pod) => VolumeClaim | undefined): Observed {
  const since = new Date(NOW - seconds * 1000).toISOString();
  const [first, ...others] = observed.computePods;
  if (first === undefined) throw new Error('there is no pod');
  const { nodeName: _none, ...spec } = first.spec;
  const pod: Pod = {
    ...first,
    metadata: { ...first.metadata, creationTimestamp: since },
    spec,
    status: {
      phase: 'Pending',
      conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes', lastTransitionTime: since }],
    },
  };
  const its = claim(pod);
  const kept = [...observed.cacheClaims].filter(([name]) => name !== cacheClaimOf(pod)?.name);
  return {
    ...observed,
    computePods: [pod, ...others],
    agents: new Map([...observed.agents].filter(([name]) => name !== pod.metadata.name)),
    cacheClaims: new Map([...kept, ...(its === undefined ? [] : [[its.metadata.name, its] as const])]),
  };
}
const obstacle = (observed: Observed): string | undefined =>
  plan(observed).obstacles.find(({ reason }) => reason === 'CacheVolumePending')?.message;

test('a pod with its volume is as it should be', () => {
  expect(inWords(withVolumes(ENCRYPTED, 3))).toEqual([]);
  expect(condition(statusOf(withVolumes(ENCRYPTED)), 'Ready')?.status).toBe('True');
});

describe('a pod whose claim is not bound', () => {
  const pending = (seconds: number, phase = 'Pending') => waiting(withVolumes(ENCRYPTED), seconds, (pod) => claimOf(pod, phase));

  test('is given time, then the status says what it waits for, and where to look', () => {
    expect(plan(pending(5))).toMatchObject({ actions: [], obstacles: [], againInMs: 10_000 });
    const message =
      'demo-1 waits for its disk: claim demo-1-cache of StorageClass encrypted is Pending; see: kubectl describe pvc demo-1-cache';
    expect(obstacle(pending(30))).toBe(message);
    expect(condition(statusOf(pending(30)), 'Ready')?.message).toBe(`demo-1 waits for its disk (claim demo-1-cache); ${message}`);
  });

  test('is made anew in another zone when that takes too long: that one may have disks', () => {
    expect(inWords(pending(30))).toEqual([]);
    expect(inWords(pending(70))).toEqual(['delete pod demo-1: unschedulable in zone-a']);
  });

  test('stays where it is when no zone would help, and goes once the manifest names another disk', () => {
    const absent = { ...pending(300), storageClasses: [storageClass('fast')] };
    expect(inWords(absent)).toEqual([]);
    expect(obstacle(absent)).toBe(
      'demo-1 waits for its disk, claim demo-1-cache: there is no StorageClass encrypted; make it, or name another in spec.compute.cacheVolume.storageClassName',
    );
    const another = { ...absent, cluster: clusterWith({ size: '40Gi', storageClassName: 'fast' }) };
    expect(inWords(another)).toEqual(['delete pod demo-1: its spec changed']);
  });

  test('has no class to be made of', () => {
    const observed = waiting(withVolumes({ size: '40Gi' }), 30, (pod) => claimOf(pod, 'Pending'));
    expect(obstacle(observed)).toContain('names no StorageClass, and there is no default one; name one in spec.compute.cacheVolume');
  });

  test.each([
    [
      'an earlier pod of its name had it',
      { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'demo-1', uid: 'old' }] },
      'of the pod before it',
    ],
    ['it is on its way out', { ownerReferences: [], deletionTimestamp: '2026-11-21T11:59:59Z' }, 'of the pod before it'],
    ['somebody else made it', { ownerReferences: [] }, 'was not made for it; delete that claim'],
  ])('is not its own: %s', (_what, change, words) => {
    expect(obstacle(waiting(withVolumes(ENCRYPTED), 30, (pod) => claimOf(pod, 'Bound', change)))).toContain(words);
  });

  test('is not there', () => {
    expect(obstacle(waiting(withVolumes(ENCRYPTED), 30, () => undefined))).toContain('is not made yet; see: kubectl describe pod demo-1');
  });
});

describe('a claim whose volume is no more', () => {
  const lost = (observed: Observed, ...names: readonly string[]): Observed => ({
    ...observed,
    cacheClaims: new Map(
      [...observed.cacheClaims].map(([name, claim]) => [
        name,
        names.includes(name) ? { ...claim, spec: { ...claim.spec, volumeName: 'pvc-1' }, status: { phase: 'Lost' } } : claim,
      ]),
    ),
  });

  test('has its pod made anew at once where that has not started, whatever else there is to say', () => {
    const observed = waiting(withVolumes(ENCRYPTED), 5, (pod) => claimOf(pod, 'Lost'));
    expect(inWords(observed)).toEqual(['delete pod demo-1: its claim demo-1-cache is Lost']);
    expect(obstacle(waiting(withVolumes(ENCRYPTED), 300, (pod) => claimOf(pod, 'Lost')))).toBeUndefined();
  });

  test('has pods that serve replaced one at a time, readers first', () => {
    const observed = lost(withVolumes(ENCRYPTED, 3), 'demo-1-cache', 'demo-2-cache', 'demo-3-cache');
    expect(inWords(observed)).toEqual(['delete pod demo-3: its claim demo-3-cache is Lost']);
    expect(plan(observed).outdated).toEqual(expect.arrayContaining(['demo-1', 'demo-2', 'demo-3']));
    expect(inWords(lost(withVolumes(ENCRYPTED, 3), 'demo-2-cache'))).toEqual(['delete pod demo-2: its claim demo-2-cache is Lost']);
  });

  test('is told as what it is, and since when, while its pod may not be replaced yet', () => {
    const observed = waiting(withVolumes(ENCRYPTED, 2), 30, (pod) => claimOf(pod, 'Lost'));
    const switchover = {
      to: 'demo-2',
      from: 'demo-1',
      state: 'InProgress',
      cause: 'Annotation',
      message: '',
      startedAt: new Date(NOW).toISOString(),
    } as const;
    const busy = lost(observed, 'demo-1-cache');
    const cluster = { ...busy.cluster, status: { ...busy.cluster.status, switchover } };
    expect(obstacle({ ...busy, cluster })).toBe(
      'demo-1 waits for its disk since 2026-11-21T11:59:30.000Z: claim demo-1-cache is Lost, for PersistentVolume pvc-1 that it was bound to is gone; nothing durable was on it, and the pod is made anew with another',
    );
  });
});

describe('another volume', () => {
  const changed = (observed: Observed, cacheVolume: CacheVolumeSpec | undefined): Observed => ({
    ...observed,
    cluster: clusterWith(cacheVolume, observed.cluster.spec.instances),
  });

  test('comes with new pods, readers first', () => {
    for (const [from, to] of [
      [undefined, ENCRYPTED],
      [ENCRYPTED, undefined],
      [ENCRYPTED, { ...ENCRYPTED, size: '80Gi' }],
    ] as const)
      expect(inWords(changed(withVolumes(from, 3), to))).toEqual(['delete pod demo-3: its spec changed']);
  });

  test('of a class that is not there replaces nobody who serves, and says so', () => {
    const observed = changed(withVolumes(undefined, 3), { ...ENCRYPTED, storageClassName: 'none' });
    expect(inWords(observed)).toEqual([]);
    expect(condition(statusOf(observed), 'SpecAccepted')).toMatchObject({
      status: 'False',
      message: expect.stringContaining("spec.compute.cacheVolume.storageClassName 'none': there is no such StorageClass"),
    });
  });

  test('goes no further while a pod that was replaced waits for its disk', () => {
    const observed = withVolumes(undefined, 3);
    const next = changed(observed, ENCRYPTED);
    const [made] = plan({ ...next, computePods: observed.computePods.slice(0, 2) }).actions.flatMap((action) =>
      action.kind === 'create-pod' ? [action.pod] : [],
    );
    if (made === undefined) throw new Error('no pod is made');
    const stuck: Pod = {
      ...running(made, { ready: false, phase: 'Pending' }),
      spec: made.spec,
      status: { phase: 'Pending', conditions: [] },
    };
    const pods = { ...next, computePods: [...observed.computePods.slice(0, 2), stuck] };
    expect(inWords(pods)).toEqual([]);
    expect(obstacle(pods)).toContain('demo-3 waits for its disk');
  });
});

test("what the claim is labelled with replaces nobody, and stands on new pods' claims", () => {
  const observed = withVolumes(ENCRYPTED);
  const cluster = makeCluster({
    spec: {
      storage: { size: '10Gi' },
      compute: { cacheVolume: ENCRYPTED },
      inheritedMetadata: { labels: { team: 'shop' }, annotations: { cost: 'x' } },
    },
    status: ran(),
  });
  expect(plan({ ...observed, cluster }).outdated).toEqual([]);
  const [made] = plan({ ...observed, cluster, computePods: [] }).actions.flatMap((action) =>
    action.kind === 'create-pod' ? [action.pod] : [],
  );
  const template = made === undefined ? undefined : cacheClaimOf(made);
  expect(template?.metadata).toEqual({
    labels: expect.objectContaining({ team: 'shop', [LABEL.cluster]: 'demo', [LABEL.component]: 'compute' }),
    annotations: { cost: 'x', [ANNOTATION.inherited]: expect.any(String) },
  });
});
