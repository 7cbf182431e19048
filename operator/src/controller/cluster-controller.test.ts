import { Registry } from 'prom-client';
import { beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '@kube-aurora/process';
import { CLUSTERS } from '../api/cluster-resource.ts';
import { ANNOTATION, FINALIZER, LABEL, storageName } from '../api/names.ts';
import { segmentIds, SegmentMap } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import { HandoverMetrics } from '../handover-metrics.ts';
import { ApiError } from '@kube-aurora/kube-http';
import type { PromotionReply } from '../kube/ask-promotion.ts';
import type { ConfigMap, DisruptionBudget, KubeObject, Node, Pod, Secret, Service, VolumeClaim } from '../kube/objects.ts';
import { objectPath, RESOURCE } from '../kube/resources.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { IMAGES, makeCluster, makeNode, NOW, running } from '../testing/fixtures.ts';
import { ClusterController } from './cluster-controller.ts';
import { EventRecorder, type ClusterEvent } from './event-recorder.ts';
import { GivenSecrets } from './given-secrets.ts';
import { StatusProber, type ProbeTarget } from './status-prober.ts';
import { contextAt } from '../testing/certificates.ts';

const KEY = 'default/demo';

/**
 * A world of one cluster: an API server of maps, pods that run when they are bidden, programs that answer as they are
 * set.
 */
class World {
  readonly api = new FakeApi();
  readonly again: number[] = [];
  now = NOW;
  /** Objects without our label are in no cache. */
  strangeBudgets = false;
  nodes: Node[] = ['zone-a', 'zone-b', 'zone-c'].map((zone) => makeNode(zone));
  answers = new Map<string, unknown>();
  /** What agents answer that are asked to write, one after the other. */
  promotions: PromotionReply[] = [];
  readonly events = new EventRecorder({ api: this.api, logger: silentLogger(), now: () => this.now });
  #timers: (() => void)[] = [];
  readonly prober = new StatusProber({
    fetchStatus: async (target: ProbeTarget) => {
      if (!this.answers.has(target.name)) throw new Error('silent');
      return this.answers.get(target.name);
    },
    onNews: () => undefined,
    setTimer: (run) => {
      this.#timers.push(run);
      return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== run)) };
    },
    now: () => this.now,
  });
  readonly registry = new Registry();
  readonly controller = new ClusterController({
    handovers: new HandoverMetrics(this.registry),
    tls: { connectTo: () => undefined, forget: () => undefined },
    issuing: () => contextAt(this.now),
    certificateSpreadMs: 60_000,
    api: this.api,
    caches: {
      clusters: {
        get: (namespace, name) => this.api.objects.get(objectPath(CLUSTERS, namespace, name)) as AuroraCluster | undefined,
      },
      nodes: { list: () => this.nodes },
      storageClasses: { list: () => [] },
      partsOf: () => {
        const all = <T extends KubeObject>(plural: string): T[] =>
          [...this.api.objects].flatMap(([path, object]) => (path.includes(`/${plural}/`) ? [object as T] : []));
        const indexed = <T extends KubeObject>(objects: readonly T[]): SegmentMap<T> =>
          new SegmentMap(
            segmentIds.flatMap((segment) =>
              objects.filter(({ metadata }) => metadata.name === storageName('demo', segment)).map((object) => [segment, object] as const),
            ),
          );
        const pods = all<Pod>('pods');
        return {
          claims: indexed(all<VolumeClaim>('persistentvolumeclaims')),
          cacheClaims: new Map(),
          storagePods: indexed(pods),
          computePods: pods.filter(({ metadata }) => metadata.labels?.[LABEL.component] === 'compute'),
          services: new Map(all<Service>('services').map((it) => [it.metadata.name, it])),
          secrets: new Map(all<Secret>('secrets').map((it) => [it.metadata.name, it])),
          budgets: new Map((this.strangeBudgets ? [] : all<DisruptionBudget>('poddisruptionbudgets')).map((it) => [it.metadata.name, it])),
          configMaps: new Map(all<ConfigMap>('configmaps').map((it) => [it.metadata.name, it])),
        };
      },
    },
    prober: this.prober,
    givenSecrets: new GivenSecrets({ watch: () => ({ start: () => undefined, stop: () => undefined }), onCluster: () => undefined }),
    events: this.events,
    askPromotion: async () => this.promotions.shift() ?? { kind: 'unanswered', message: 'silent' },
    images: IMAGES,
    holdsProtected: true,
    logger: silentLogger(),
    now: () => this.now,
    tokenReviewer: undefined,
    newPassword: () => 'generated',
    again: (_key, afterMs) => this.again.push(afterMs),
  });

  async put(cluster: AuroraCluster): Promise<void> {
    await this.api.create(CLUSTERS, cluster);
  }

  get cluster(): AuroraCluster {
    return this.api.objects.get(objectPath(CLUSTERS, 'default', 'demo')) as AuroraCluster;
  }

  /** The kubelet's part: every pod runs and is ready, and its program answers. */
  runPods(): void {
    for (const [path, object] of this.api.objects) {
      if (!path.includes('/pods/')) continue;
      const uid = object.metadata.uid;
      const pod = running(object as Pod);
      this.api.objects.set(path, { ...pod, metadata: { ...pod.metadata, ...(uid === undefined ? {} : { uid }) } });
      const volumeId = this.cluster.status?.volumeId;
      this.answers.set(
        object.metadata.name,
        object.metadata.name === 'demo-1'
          ? { phase: 'running', epoch: 1, vdl: '0/5000' }
          : { segments: [{ volumeId, pg: 0, phase: 'READY', scl: '0/5000' }] },
      );
    }
  }

  async poll(): Promise<void> {
    const due = this.#timers.splice(0);
    for (const run of due) run();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async reconcile(): Promise<void> {
    await this.controller.reconcile(KEY);
    await this.events.flush();
  }

  reasons(): readonly string[] {
    return [...this.api.objects].flatMap(([path, object]) => (path.includes('/events/') ? [(object as ClusterEvent).reason] : []));
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

async function bringUp(): Promise<void> {
  await world.put(makeCluster());
  await world.reconcile();
  world.runPods();
  await world.reconcile();
  await world.poll();
  await world.reconcile();
}

test('a cluster comes up, then there is nothing more to do', async () => {
  await bringUp();
  expect(world.cluster.status).toMatchObject({ phase: 'Ready', epoch: 1, vdl: '0/5000', storage: { summary: '6/6', initialized: true } });
  expect(world.reasons()).toEqual(expect.arrayContaining(['Creating', 'WriterReady', 'VolumeCreated']));
  await world.reconcile();
  const before = world.api.requests.length;
  await world.reconcile();
  expect(world.api.requests.slice(before)).toEqual([]);
  const claims = [...world.api.objects].filter(([path]) => path.includes('/persistentvolumeclaims/')).map(([, object]) => object);
  expect(
    claims.every(({ metadata }) => metadata.annotations?.[ANNOTATION.holdsData] === 'true' && metadata.ownerReferences?.length === 0),
  ).toBe(true);
  expect(world.api.objects.has(objectPath(RESOURCE.disruptionBudgets, 'default', 'demo-storage'))).toBe(true);
});

test('the same manifest after a deletion finds the volume', async () => {
  await bringUp();
  const { volumeId } = world.cluster.status ?? {};
  for (const path of world.api.objects.keys()) if (!path.includes('/persistentvolumeclaims/')) world.api.objects.delete(path);
  await world.reconcile();
  await world.put({ ...makeCluster(), metadata: { ...makeCluster().metadata, uid: 'new' } });
  await world.reconcile();
  expect(world.cluster.status?.volumeId).toBe(volumeId);
  expect(world.reasons()).toContain('VolumeFound');
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(true);
});

test('a deleted cluster goes when its writer is gone, and nothing is made anew meanwhile', async () => {
  const { metadata } = makeCluster();
  await world.put({ ...makeCluster(), metadata: { ...metadata, finalizers: ['other'] } });
  await world.reconcile();
  expect(world.cluster.metadata.finalizers).toEqual(['other', FINALIZER]);
  world.runPods();
  const path = objectPath(CLUSTERS, 'default', 'demo');
  world.api.objects.set(path, {
    ...world.cluster,
    metadata: { ...world.cluster.metadata, finalizers: [FINALIZER], deletionTimestamp: new Date(NOW).toISOString() },
  } as AuroraCluster);
  // It is protected, and no policy has refused it: it goes on, is repaired, and says how it can go.
  world.api.objects.delete(objectPath(RESOURCE.services, 'default', 'demo-ro'));
  await world.reconcile();
  expect(world.cluster.status).toMatchObject({ phase: 'Ready', message: expect.stringContaining('"deletionProtection":false') });
  expect(world.api.objects.has(objectPath(RESOURCE.services, 'default', 'demo-ro'))).toBe(true);
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(true);
  await world.events.flush();
  expect([...world.api.objects.values()].filter((object) => 'reason' in object && object.reason === 'DeletionProtected')).toHaveLength(1);
  world.api.objects.set(path, { ...world.cluster, spec: { ...world.cluster.spec, deletionProtection: false } } as AuroraCluster);
  await world.reconcile();
  expect(world.cluster.status?.phase).toBe('Deleting');
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(false);
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-storage-0'))).toBe(true);
  await world.reconcile();
  expect(world.api.objects.has(path)).toBe(false);
});

test('a password is made once and kept', async () => {
  await bringUp();
  const path = objectPath(RESOURCE.secrets, 'default', 'demo-app');
  const secret = world.api.objects.get(path) as Secret;
  expect(Buffer.from(secret.data?.['password'] ?? '', 'base64').toString()).toBe('generated');
  world.api.objects.set(path, { ...secret, data: { ...secret.data, password: Buffer.from('chosen').toString('base64') } } as Secret);
  await world.reconcile();
  expect(Buffer.from((world.api.objects.get(path) as Secret).data?.['pgpass'] ?? '', 'base64').toString()).toBe(
    ['rw', 'ro', 'r'].map((end) => `demo-${end}:5432:app:app:chosen\n`).join(''),
  );
});

test('a killed pod is made again', async () => {
  await bringUp();
  world.api.objects.delete(objectPath(RESOURCE.pods, 'default', 'demo-storage-2'));
  await world.reconcile();
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-storage-2'))).toBe(true);
  expect(world.cluster.status).toMatchObject({ phase: 'Degraded', storage: { summary: '5/6' } });
  expect(world.reasons()).toEqual(expect.arrayContaining(['SegmentDown', 'StoragePodCreated']));
});

test('a fenced writer is named in an event, removed and made again', async () => {
  await bringUp();
  world.now += 60_000;
  world.answers.set('demo-1', { phase: 'fenced', epoch: 1 });
  await world.poll();
  await world.reconcile();
  expect(world.reasons()).toContain('WriterFenced');
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(false);
  await world.reconcile();
  expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(true);
});

test('a switchover that the agent refuses is told, and its annotation goes; an agent that is silent is asked again', async () => {
  await world.put(makeCluster({ spec: { storage: { size: '10Gi' }, instances: 2 } }));
  for (let look = 0; look < 5; look++) {
    await world.reconcile();
    world.runPods();
    world.answers.set('demo-2', { phase: 'running', replayLsn: '0/5000', lagMs: 0, source: 'demo-storage-1' });
    await world.poll();
  }
  await world.reconcile();
  const annotation = () => world.cluster.metadata.annotations?.[ANNOTATION.switchoverTo];
  await world.api.merge(CLUSTERS, 'default', 'demo', { metadata: { annotations: { [ANNOTATION.switchoverTo]: 'demo-2' } } });
  world.promotions = [
    { kind: 'unanswered', message: 'it is slow' },
    { kind: 'refused', message: 'it has its reasons' },
  ];
  await world.reconcile();
  expect(world.cluster.status?.switchover).toMatchObject({ to: 'demo-2', from: 'demo-1', state: 'InProgress' });
  await world.reconcile();
  expect([world.cluster.status?.switchover?.state, annotation()]).toEqual(['InProgress', 'demo-2']);
  await world.reconcile();
  expect(world.cluster.status?.switchover).toMatchObject({ state: 'Refused', message: 'it has its reasons' });
  for (let look = 0; look < 3; look++) await world.reconcile();
  expect(annotation()).toBeUndefined();
  expect(world.cluster.status?.switchover).toMatchObject({ state: 'Refused', message: 'it has its reasons' });
  expect(world.cluster.status?.switchover).not.toHaveProperty('annotated');
  expect(world.reasons().filter((reason) => reason.startsWith('Switch'))).toEqual(['SwitchoverStarted', 'SwitchoverRefused']);
});

test('a daemon that falls silent is looked at again when it counts as down', async () => {
  await bringUp();
  world.again.length = 0;
  world.answers.delete('demo-storage-2');
  await world.poll();
  world.now += 1_000;
  await world.reconcile();
  expect(world.cluster.status?.storage?.summary).toBe('6/6');
  expect(world.again).toContain(4_000);
  world.now += 4_000;
  await world.reconcile();
  expect(world.cluster.status).toMatchObject({ phase: 'Degraded', storage: { summary: '5/6' } });
});

test('a status that somebody else wrote is put right at the next look', async () => {
  await bringUp();
  const path = objectPath(CLUSTERS, 'default', 'demo');
  const right = world.cluster.status;
  const wrong = { ...right, phase: 'Blocked', writer: 'nobody', secrets: { ...right?.secrets, app: 'other', extra: 'mine' } };
  world.api.objects.set(path, { ...world.cluster, status: wrong } as unknown as AuroraCluster);
  await world.reconcile();
  expect(world.cluster.status).toEqual(right);
  expect(world.reasons().filter((reason) => reason === 'WriterReady')).toHaveLength(1);
});

test('a writer is called unavailable before it is taken away', async () => {
  await bringUp();
  await world.reconcile();
  const path = objectPath(CLUSTERS, 'default', 'demo');
  const { metadata } = world.cluster;
  world.api.objects.set(path, {
    ...world.cluster,
    metadata: { ...metadata, annotations: { [ANNOTATION.restartedAt]: 'now' } },
  });
  let ready: unknown;
  world.api.fault = (request) => {
    if (request.startsWith('delete') && request.endsWith('/demo-1'))
      ready ??= world.cluster.status?.conditions?.find(({ type }) => type === 'Ready');
    return undefined;
  };
  for (let round = 0; round < 20 && ready === undefined; round += 1) {
    await world.reconcile();
    world.runPods();
    await world.poll();
  }
  expect(ready).toMatchObject({ status: 'False', reason: 'WriterReplaced', message: expect.stringContaining('a restart was asked for') });
});

test("a stranger's disruption budget of that name is left alone and named, and the cluster works", async () => {
  const strange = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'demo-storage', namespace: 'default' } };
  await world.api.create(RESOURCE.disruptionBudgets, strange);
  world.strangeBudgets = true;
  await bringUp();
  expect(world.api.objects.get(objectPath(RESOURCE.disruptionBudgets, 'default', 'demo-storage'))).toMatchObject(strange);
  expect(world.cluster.status).toMatchObject({
    phase: 'Ready',
    message: expect.stringContaining('PodDisruptionBudget demo-storage exists'),
  });
  expect(world.reasons()).toContain('NameConflict');
});

test('a deleted disruption budget comes back', async () => {
  await bringUp();
  const path = objectPath(RESOURCE.disruptionBudgets, 'default', 'demo-storage');
  world.api.objects.delete(path);
  await world.reconcile();
  expect(world.api.objects.has(path)).toBe(true);
});

describe('the API server says no', () => {
  test('one refusal stops nothing else, and is told once', async () => {
    world.api.fault = (request) =>
      request.includes('persistentvolumeclaims/demo-storage-3') ? new ApiError(403, 'Forbidden', `${request}: exceeded quota`) : undefined;
    await world.put(makeCluster());
    await world.reconcile();
    await world.reconcile();
    expect(world.api.objects.has(objectPath(RESOURCE.pods, 'default', 'demo-1'))).toBe(true);
    expect(world.cluster.status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain('exceeded quota');
    expect(world.reasons().filter((reason) => reason === 'RequestRefused')).toHaveLength(1);
  });

  test('unreachable: the reconcile fails, to be tried again', async () => {
    await world.put(makeCluster());
    world.api.fault = (request) =>
      request.startsWith('status') ? undefined : new ApiError(503, 'ServiceUnavailable', `${request}: not now`);
    await expect(world.reconcile()).rejects.toThrow('not now');
    world.api.fault = () => undefined;
    await expect(world.reconcile()).resolves.toBeUndefined();
  });

  test("somebody else's Service of that name is left alone", async () => {
    await world.api.create(RESOURCE.services, { apiVersion: 'v1', kind: 'Service', metadata: { name: 'demo-rw', namespace: 'default' } });
    await world.put(makeCluster());
    const path = objectPath(RESOURCE.services, 'default', 'demo-rw');
    const hidden = world.api.objects.get(path);
    const original = world.api.get.bind(world.api);
    world.api.objects.delete(path);
    world.api.get = async (resource, namespace, name) =>
      name === 'demo-rw' && hidden !== undefined ? (hidden as never) : original(resource, namespace, name);
    await world.reconcile();
    expect(world.cluster.status).toMatchObject({ phase: 'Blocked', message: expect.stringContaining('Service demo-rw exists') });
    expect(world.api.objects.has(path)).toBe(false);
  });
});

test('the same event twice is one with a count', async () => {
  await world.put(makeCluster());
  const notice = { type: 'Normal', reason: 'Test', message: 'again' } as const;
  world.events.record(world.cluster, notice);
  world.events.record(world.cluster, notice);
  world.events.recordOnce(world.cluster, notice);
  await world.events.flush();
  const events = [...world.api.objects.values()].filter((object): object is ClusterEvent => 'reason' in object && object.reason === 'Test');
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({ count: 2, involvedObject: { kind: 'AuroraCluster', name: 'demo' } });
});
