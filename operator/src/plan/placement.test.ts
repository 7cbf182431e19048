import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL, ZONE_TOPOLOGY } from '../api/names.ts';
import type { withDefaults } from '../api/defaults.ts';
import type { Affinity } from '../api/types.ts';
import type { KubeObject, Pod } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { perform } from '../controller/perform.ts';
import { computePod } from '../specs/compute-pod.ts';
import { clientServices } from '../specs/services.ts';
import { storagePod } from '../specs/storage-pod.ts';
import { contextAt } from '../testing/certificates.ts';
import { FakeApi } from '../testing/fake-api.ts';
import {
  healthy,
  inWords,
  makeCluster,
  makeNode,
  mapSegments,
  NOW,
  plan,
  running,
  segment,
  untouched,
  VOLUME,
} from '../testing/fixtures.ts';
import { isUsableNode } from './usable-node.ts';

type Spec = NonNullable<Parameters<typeof withDefaults>[0]>;
const withSpec = ({ storage, ...spec }: Spec) => makeCluster({ spec: { storage: { size: '10Gi', ...storage }, ...spec } });
const podsOf = (spec: Spec): readonly Pod[] => {
  const cluster = withSpec(spec);
  const input = {
    ordinal: 1,
    role: 'writer',
    volumeId: VOLUME,
    zone: 'zone-b',
    image: 'c:1',
    servesReads: false,
    mountedVersions: '',
  } as const;
  return [storagePod(cluster, segment(1), 'zone-b', 's:1'), computePod(cluster, input)];
};
const hashes = (spec: Spec): unknown[] => podsOf(spec).map(({ metadata }) => metadata.annotations?.[ANNOTATION.specHash]);
const inZoneB = { key: ZONE_TOPOLOGY, operator: 'In', values: ['zone-b'] };

describe('where pods run', () => {
  test('is in their zone, whatever else is asked of nodes', () => {
    const affinity: Affinity = {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'disk', operator: 'In', values: ['nvme'] }] },
            { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] },
          ],
        },
      },
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: 'rack' } }] },
    };
    for (const pod of podsOf({ storage: { affinity }, compute: { affinity } })) {
      expect(pod.spec.affinity).toMatchObject({
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchExpressions: [inZoneB, { key: 'disk', operator: 'In', values: ['nvme'] }] },
              { matchExpressions: [inZoneB], matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] },
            ],
          },
        },
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname' } },
            { weight: 1, podAffinityTerm: { topologyKey: 'rack' } },
          ],
        },
      });
    }
  });

  test('is for storage and compute each as the manifest says', () => {
    const of = {
      nodeSelector: { pool: 'db' },
      tolerations: [{ key: 'db', operator: 'Exists' }],
      priorityClassName: 'high',
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }],
    } as const;
    const [storage, compute] = podsOf({ storage: of });
    expect(storage?.spec).toMatchObject({
      ...of,
      topologySpreadConstraints: [{ labelSelector: { matchLabels: { [LABEL.cluster]: 'demo', [LABEL.component]: 'storage' } } }],
    });
    expect(compute?.spec).toEqual(podsOf({})[1]?.spec);
    expect(podsOf({ compute: of })[1]?.spec).toMatchObject({ nodeSelector: { pool: 'db' }, priorityClassName: 'high' });
  });

  test('replaces pods when it changes; how images are pulled, labels and Services do not', () => {
    const before = hashes({});
    for (const part of ['storage', 'compute'] as const) {
      const after = hashes({ [part]: { nodeSelector: { pool: 'db' } } });
      expect(after.map((hash, index) => hash === before[index])).toEqual([part !== 'storage', part !== 'compute']);
    }
    expect(
      hashes({
        imagePullPolicy: 'Always',
        imagePullSecrets: [{ name: 'registry' }],
        inheritedMetadata: { labels: { team: 'shop' } },
        services: { readWrite: { type: 'LoadBalancer' } },
      }),
    ).toEqual(before);
  });

  test('a zone for compute is one with a node that the manifest allows', () => {
    const cluster = withSpec({ compute: { nodeSelector: { pool: 'db' } } });
    const nodes = ['zone-a', 'zone-b', 'zone-c'].map((zone) => {
      const node = makeNode(zone);
      return zone === 'zone-c' ? { ...node, metadata: { ...node.metadata, labels: { ...node.metadata.labels, pool: 'db' } } } : node;
    });
    const made = plan({ ...healthy(cluster), computePods: [], nodes }).actions.find(({ kind }) => kind === 'create-pod');
    expect(made).toMatchObject({ pod: { metadata: { labels: { [LABEL.zone]: 'zone-c' } } } });
  });
});

test('nodes are usable by their labels and taints, as a scheduler sees them', () => {
  const node = (labels: Record<string, string>, ...taints: { key: string; value?: string; effect: string }[]) => {
    const made = makeNode('zone-a');
    return { ...made, metadata: { ...made.metadata, labels: { ...made.metadata.labels, ...labels } }, spec: { taints } };
  };
  const needs = (
    key: string,
    operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt',
    ...values: string[]
  ): { affinity: Affinity } => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }] },
      },
    },
  });
  expect(isUsableNode(makeNode('zone-a', false), {})).toBe(false);
  expect(isUsableNode({ ...makeNode('zone-a'), spec: { unschedulable: true } }, {})).toBe(false);
  expect(isUsableNode(node({ pool: 'db' }), { nodeSelector: { pool: 'db' } })).toBe(true);
  expect(isUsableNode(node({}), { nodeSelector: { pool: 'db' } })).toBe(false);
  const cases = [
    [needs('cpus', 'Gt', '8'), true],
    [needs('cpus', 'Lt', '8'), false],
    [needs('cpus', 'In', '16', '32'), true],
    [needs('cpus', 'NotIn', '16'), false],
    [needs('cpus', 'Exists'), true],
    [needs('cpus', 'DoesNotExist'), false],
    [needs('gpus', 'Exists'), false],
    [needs('gpus', 'NotIn', '1'), true],
  ] as const;
  for (const [placement, expected] of cases) expect(isUsableNode(node({ cpus: '16' }), placement)).toBe(expected);
  const tainted = node({}, { key: 'db', value: 'yes', effect: 'NoSchedule' });
  expect(isUsableNode(tainted, {})).toBe(false);
  expect(isUsableNode(tainted, { tolerations: [{ key: 'db', value: 'yes' }] })).toBe(true);
  expect(isUsableNode(tainted, { tolerations: [{ key: 'db', value: 'no' }] })).toBe(false);
  expect(isUsableNode(tainted, { tolerations: [{ key: 'db', operator: 'Exists', effect: 'NoExecute' }] })).toBe(false);
  expect(isUsableNode(tainted, { tolerations: [{ operator: 'Exists' }] })).toBe(true);
  expect(
    isUsableNode(node({}, { key: 'x', effect: 'PreferNoSchedule' }, { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }), {}),
  ).toBe(true);
});

test('pods that wait for their image are made anew when how it is pulled changes, others are not', () => {
  const cluster = withSpec({ imagePullSecrets: [{ name: 'registry' }], imagePullPolicy: 'Always' });
  const waiting = { name: 'main', ready: false, restartCount: 0, state: { waiting: { reason: 'ImagePullBackOff', message: 'denied' } } };
  const seen = healthy();
  expect(inWords({ ...seen, cluster })).toEqual([]);
  const stuck = { ...seen, cluster, computePods: seen.computePods.map((pod) => running(pod, { ready: false, container: waiting })) };
  expect(inWords(stuck)).toEqual(['delete pod demo-1: how its image is pulled changed']);
  for (const pod of podsOf({ imagePullSecrets: [{ name: 'registry' }], imagePullPolicy: 'Always' }))
    expect(pod.spec).toMatchObject({ imagePullSecrets: [{ name: 'registry' }], containers: [{ imagePullPolicy: 'Always' }] });
});

describe('inherited labels and annotations', () => {
  const inheritedMetadata = { labels: { team: 'shop' }, annotations: { 'example.com/cost': '42' } };

  test('are on everything that is made, under ours', () => {
    const made = plan(untouched(withSpec({ inheritedMetadata }))).actions.flatMap((action): KubeObject[] =>
      action.kind === 'apply' ? [action.object] : action.kind === 'create-pod' ? [action.pod] : [],
    );
    expect([...new Set(made.map(({ kind }) => kind))].sort()).toEqual(
      ['ConfigMap', 'PersistentVolumeClaim', 'Pod', 'PodDisruptionBudget', 'Service'].sort(),
    );
    for (const { metadata } of made) {
      expect(metadata.labels).toMatchObject({ team: 'shop', [LABEL.cluster]: 'demo' });
      expect(metadata.annotations).toMatchObject({ 'example.com/cost': '42' });
    }
  });

  test('reach what is there, and no pod is replaced for them; taken back they go', () => {
    const seen = healthy();
    const words = inWords({ ...seen, cluster: withSpec({ inheritedMetadata }) });
    expect(words.filter((word) => word.startsWith('mark pod'))).toHaveLength(7);
    expect(words.filter((word) => word.startsWith('apply'))).toHaveLength(6 + 5 + 2 + 1 + 1 + 4);
    expect(words).toHaveLength(7 + 19);
    const withThem = healthy(withSpec({ inheritedMetadata }));
    expect(inWords(withThem)).toEqual([]);
    expect(inWords({ ...withThem, cluster: makeCluster() })).toHaveLength(7 + 19);
  });

  test('names that the manifest has no more are taken off, whoever else has set others', async () => {
    const api = new FakeApi();
    const [before] = clientServices(withSpec({ inheritedMetadata }));
    const [after] = clientServices(withSpec({ inheritedMetadata: { labels: { owner: 'me' } } }));
    const [none] = clientServices(makeCluster());
    if (before === undefined || after === undefined || none === undefined) throw new Error('no Service');
    const live = { ...before, metadata: { ...before.metadata, labels: { ...before.metadata.labels, other: 'stays' } } };
    const merges: unknown[] = [];
    const merge = api.merge.bind(api);
    api.merge = (resource, namespace, name, patch) => {
      merges.push(patch);
      return merge(resource, namespace, name, patch);
    };
    await api.create(RESOURCE.services, live);
    const context = { api, cluster: makeCluster(), newPassword: () => 'x', issuing: () => contextAt(NOW), tokenReviewer: undefined };
    await perform({ kind: 'apply', resource: RESOURCE.services, object: after, live }, context);
    await perform({ kind: 'apply', resource: RESOURCE.services, object: none, live: after }, context);
    expect(merges).toEqual([
      { metadata: { labels: { team: null }, annotations: { 'example.com/cost': null } } },
      { metadata: { labels: { owner: null }, annotations: { [ANNOTATION.inherited]: null } } },
    ]);
  });

  test('a mark that somebody else wrote takes nothing of ours away', () => {
    const cluster = makeCluster();
    const seen = healthy(cluster);
    const forged = JSON.stringify({ labels: [LABEL.role, 'x'], annotations: 7 });
    for (const [mark, off] of [
      [forged, { x: null }],
      ['{', {}],
    ] as const) {
      const pods = seen.computePods.map((pod) => ({
        ...pod,
        metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, [ANNOTATION.inherited]: mark } },
      }));
      expect(plan({ ...seen, computePods: pods }).actions).toMatchObject([
        { kind: 'mark-pod', off: { labels: off, annotations: { [ANNOTATION.inherited]: null } } },
      ]);
      expect(plan({ ...seen, storagePods: mapSegments(seen.storagePods, (pod) => pod) }).actions).toEqual([]);
    }
  });
});

test('Services have their own annotations and types', () => {
  const cluster = withSpec({
    inheritedMetadata: { annotations: { a: 'all', b: 'all' } },
    services: { readWrite: { type: 'LoadBalancer', loadBalancerClass: 'example.com/nlb', annotations: { b: 'mine' } } },
  });
  const [readWrite, readOnly] = clientServices(cluster);
  expect(readWrite).toMatchObject({
    metadata: { annotations: { a: 'all', b: 'mine' } },
    spec: { type: 'LoadBalancer', loadBalancerClass: 'example.com/nlb' },
  });
  expect(readOnly).toMatchObject({ metadata: { annotations: { a: 'all', b: 'all' } }, spec: { type: 'ClusterIP' } });
  expect(clientServices(makeCluster())[0]?.metadata.annotations).toBeUndefined();
});
