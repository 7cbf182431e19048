import { ANNOTATION, computeName, LABEL, segmentZone, storageName, tlsSecretName } from '../api/names.ts';
import { segmentIds, SegmentMap, type SegmentId } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import { planCluster, type ClusterPlan } from '../plan/plan.ts';
import type { Observed } from '../observed/observed.ts';
import type { ContainerStatus, Node, Pod, PodCondition, VolumeClaim } from '../kube/objects.ts';
import { computePod } from '../specs/compute-pod.ts';
import { connectionSecret, appCredentials, superuserCredentials } from '../specs/secrets.ts';
import { clientServices, storageDisruptionBudget, storageService } from '../specs/services.ts';
import { fingerprint } from '../specs/metadata.ts';
import { settingsMap } from '../specs/settings-map.ts';
import { storagePod } from '../specs/storage-pod.ts';
import { volumeClaim } from '../specs/volume-claim.ts';
import type { AgentReport, DaemonReport } from '../observed/reports.ts';
import { certificateSecrets } from './certificates.ts';
import { IMAGES, makeCluster, NOW, VOLUME } from './fixture-cluster.ts';

export { IMAGES, makeCluster, NOW, VOLUME };

/** A cluster as it is seen, for tests: a healthy one, to be changed one thing at a time. */
export function running(
  pod: Pod,
  change: { ready?: boolean; container?: ContainerStatus; phase?: string; node?: string; ip?: string } = {},
): Pod {
  const { ready = true } = change;
  const conditions: PodCondition[] = [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: '2026-11-21T11:00:00Z' },
  ];
  return {
    ...pod,
    metadata: { ...pod.metadata, uid: `uid-of-${pod.metadata.name}`, creationTimestamp: '2026-11-21T10:59:00Z' },
    spec: { ...pod.spec, nodeName: change.node ?? `node-${pod.metadata.labels?.[LABEL.zone] ?? ''}` },
    status: {
      phase: change.phase ?? 'Running',
      podIP: change.ip ?? '10.0.0.1',
      conditions,
      containerStatuses: [
        change.container ?? { name: 'main', ready, restartCount: 0, state: { running: { startedAt: '2026-11-21T10:59:05Z' } } },
      ],
    },
  };
}

export function makeNode(zone: string, ready = true): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `node-${zone}`, labels: { 'topology.kubernetes.io/zone': zone } },
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'Unknown' }] },
  };
}

export function agentReport(change: Partial<AgentReport> = {}): AgentReport {
  return {
    uid: 'uid-of-demo-1',
    answeredAt: NOW - 1_000,
    phase: 'running',
    epoch: 3,
    vdl: '0/2000',
    startedAt: '2026-11-21T10:59:06Z',
    segments: [],
    passwords: ['postgres', 'app'].map((role) => ({ role, state: 'applied', message: '' })),
    ...change,
  };
}

/** What a reader's agent says: it is in no epoch and feeds no segments. */
export function readerReport(name: string, change: Partial<AgentReport> = {}): AgentReport {
  return {
    uid: `uid-of-${name}`,
    answeredAt: NOW - 1_000,
    phase: 'running',
    reason: 'none',
    vdl: '0/2000',
    replayLsn: '0/2000',
    lagMs: 0,
    source: 'demo-storage-1',
    startedAt: '2026-11-21T10:59:06Z',
    segments: [],
    ...change,
  };
}

export function daemonReport(index: number, change: Partial<DaemonReport> = {}): DaemonReport {
  return { uid: `uid-of-demo-storage-${index}`, answeredAt: NOW - 1_000, state: 'READY', scl: '1/2000', bytesUsed: 1000, ...change };
}

/** A cluster where all is well: six copies with data, a running writer, everything applied. */
export function healthy(cluster: AuroraCluster = makeCluster()): Observed {
  const zones = cluster.spec.storage.zones;
  const ofEach = <T>(make: (segment: SegmentId, zone: string) => T): SegmentMap<T> =>
    new SegmentMap(segmentIds.map((segment) => [segment, make(segment, segmentZone(zones, segment))]));
  const ordinals = Array.from({ length: cluster.spec.instances }, (_, index) => index + 1);
  const computePods = ordinals.map((ordinal) =>
    running(
      computePod(cluster, {
        ordinal,
        role: ordinal === 1 ? 'writer' : 'reader',
        volumeId: VOLUME,
        volumeExists: true,
        zone: zones[(ordinal - 1) % 3] ?? '',
        image: IMAGES.computeNode,
        servesReads: ordinals.length === 1 || ordinal > 1,
        mountedVersions: fingerprint(['', '', '', '']),
      }),
    ),
  );
  const settings = settingsMap(cluster, { parameters: undefined, rules: undefined });
  const certificates = certificateSecrets(cluster);
  const serverCa = certificates.find(({ metadata }) => metadata.name === tlsSecretName(cluster.metadata.name, 'server'))?.data?.['ca.crt'];
  const secrets = [superuserCredentials(cluster), appCredentials(cluster)].map((credentials) =>
    connectionSecret(cluster, credentials, 'secret', serverCa),
  );
  return {
    cluster,
    claims: ofEach((segment, zone): VolumeClaim => ({
      ...volumeClaim(cluster, { segment, zone, volumeId: VOLUME, holdsData: true }),
      status: { phase: 'Bound' },
    })),
    cacheClaims: new Map(),
    storagePods: ofEach((segment, zone) => running(storagePod(cluster, segment, zone, IMAGES.storageDaemon))),
    computePods,
    services: new Map([...clientServices(cluster), storageService(cluster)].map((service) => [service.metadata.name, service])),
    secrets: new Map([...secrets, ...certificates].map((secret) => [secret.metadata.name, secret])),
    budgets: new Map([storageDisruptionBudget(cluster)].map((budget) => [budget.metadata.name, budget])),
    configMaps: new Map([[settings.metadata.name, settings]]),
    nodes: zones.map((zone) => makeNode(zone)),
    storageClasses: [],
    agents: new Map(
      ordinals.map((ordinal) => {
        const name = computeName(cluster.metadata.name, ordinal);
        return [name, ordinal === 1 ? agentReport() : readerReport(name)] as const;
      }),
    ),
    daemons: new Map(segmentIds.map((segment) => [storageName(cluster.metadata.name, segment), daemonReport(segment.index)])),
    now: NOW,
    avoidZones: new Map(),
  };
}

/** Before anything was made. */
export function untouched(cluster: AuroraCluster = makeCluster()): Observed {
  return {
    ...healthy(cluster),
    claims: new SegmentMap(),
    storagePods: new SegmentMap(),
    computePods: [],
    services: new Map(),
    secrets: new Map(),
    budgets: new Map(),
    configMaps: new Map(),
    agents: new Map(),
    daemons: new Map(),
  };
}

export function without<K, V>(map: ReadonlyMap<K, V>, ...keys: readonly K[]): ReadonlyMap<K, V> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}

export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map([...map, [key, value]]);
}

export function at<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new Error(`nothing is there of ${String(key)}`);
  return value;
}

/** Segment `index` of the first protection group. */
export function segment(index: number): SegmentId {
  const found = segmentIds.find((id) => id.pg === 0 && id.index === index);
  if (found === undefined) throw new RangeError(`a group has no segment ${index}`);
  return found;
}

export function segmentAt<V>(map: SegmentMap<V>, index: number): V {
  const value = map.get(segment(index));
  if (value === undefined) throw new Error(`nothing is there of segment ${index}`);
  return value;
}

export function withSegment<V>(map: SegmentMap<V>, index: number, value: V): SegmentMap<V> {
  return new SegmentMap([...map, [segment(index), value]]);
}

export function withoutSegments<V>(map: SegmentMap<V>, ...indexes: readonly number[]): SegmentMap<V> {
  return new SegmentMap([...map].filter(([{ index }]) => !indexes.includes(index)));
}

/** The same of every segment, changed by its index. */
export function mapSegments<V>(map: SegmentMap<V>, change: (value: V, index: number) => V): SegmentMap<V> {
  return new SegmentMap([...map].map(([id, value]) => [id, change(value, id.index)]));
}

/** How long a change of a Secret takes to be seen by everybody. */
export const SPREAD_MS = 300_000;

export function plan(observed: Observed): ClusterPlan {
  return planCluster(observed, IMAGES, SPREAD_MS);
}

/** A plan in words, one line an action. */
export function inWords(observed: Observed): readonly string[] {
  return plan(observed).actions.map((action) => {
    if (action.kind === 'apply') return `apply ${action.object.kind} ${action.object.metadata.name}`;
    if (action.kind === 'hold-cluster' || action.kind === 'release-cluster')
      return action.kind === 'hold-cluster' ? 'add our finalizer' : 'take our finalizer off';
    if (action.kind === 'create-authority') return 'create the authority';
    if (action.kind === 'step-authority') return `authority: ${action.step.kind}`;
    if (action.kind === 'issue-certificate') return `certificate of ${action.role}: ${action.why}`;
    if (action.kind === 'issue-review-token') return `token to review tokens with: ${action.why}`;
    if (action.kind === 'create-secret') return `create Secret ${action.credentials.secretName}`;
    if (action.kind === 'delete-service') return `delete Service ${action.service.metadata.name}`;
    if (action.kind === 'delete-claim') return `delete claim ${action.claim.metadata.name}`;
    if (action.kind === 'remove-annotation') return `take off ${action.annotation}=${action.value}`;
    if (action.kind === 'ask-promotion') return `ask ${action.pod.metadata.name} to write`;
    if (action.kind === 'delete-pod')
      return `${action.gracePeriodSeconds === 0 ? 'force-delete' : 'delete'} pod ${action.pod.metadata.name}: ${action.why}`;
    return `${action.kind === 'create-pod' ? 'create' : 'mark'} pod ${action.pod.metadata.name}`;
  });
}

export function outdatedPod(pod: Pod): Pod {
  return { ...pod, metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, [ANNOTATION.specHash]: 'old' } } };
}
