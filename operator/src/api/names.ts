import type { ProgramRole } from '@kube-aurora/identity';
import type { Labels } from '../kube/objects.ts';
import { segmentOrdinal, type SegmentId } from './segment-id.ts';
import { API_GROUP } from './types.ts';

/** Labels on everything the operator makes; informers select by the first. */
export const LABEL = {
  managedBy: 'app.kubernetes.io/managed-by',
  cluster: `${API_GROUP}/cluster`,
  component: `${API_GROUP}/component`,
  segment: `${API_GROUP}/segment`,
  zone: `${API_GROUP}/zone`,
  role: `${API_GROUP}/role`,
  /** On a compute pod, `true` or `false`: whether NAME-ro leads to it while it is ready. */
  servesReads: `${API_GROUP}/serves-reads`,
  /** On a compute pod, `true` or `false`: whether NAME-r leads to it while it is ready. A reader that is to be no more gets no connections. */
  serves: `${API_GROUP}/serves`,
  /** On the Service of one of spec.endpoints: its name. */
  endpoint: `${API_GROUP}/endpoint`,
} as const;

export const ANNOTATION = {
  /** On a pod: hash of the spec it was made from; another hash means the pod is outdated. */
  specHash: `${API_GROUP}/spec-hash`,
  /** On a PVC: the volume whose segment it holds. It outlives the cluster object under reclaimPolicy Retain. */
  volumeId: `${API_GROUP}/volume-id`,
  /** On a PVC: its segment was seen READY, so it holds data that counts. */
  holdsData: `${API_GROUP}/holds-data`,
  /**
   * On a compute pod: `true` once its volume held a database, which the agent then never makes anew. Read at each start
   * of its container.
   */
  volumeExists: `${API_GROUP}/volume-exists`,
  /**
   * On a cluster, by a person: another value restarts its pods, storage one at a time, the writer last. On a pod: the
   * one it was made after.
   */
  restartedAt: `${API_GROUP}/restartedAt`,
  /**
   * On a compute pod: stands for where the first database's statements come from; it counts until there is a database.
   */
  initSql: `${API_GROUP}/init-sql`,
  /** On a pod: stands for how its images are pulled; another one replaces it while it waits for its image. */
  imagePull: `${API_GROUP}/image-pull`,
  /** On a reader's pod that is to be no more: since when, RFC 3339; empty when it stays after all. */
  leavingSince: `${API_GROUP}/leaving-since`,
  /** On a compute pod: stands for the versions of what is mounted into it and may change while it runs. */
  mountedVersions: `${API_GROUP}/mounted-versions`,
  /** On a cluster, by a person: the name of the instance that is to write. Taken off when that is done, or cannot be. */
  switchoverTo: `${API_GROUP}/switchover-to`,
  /** On what the operator makes: names of labels and annotations that it has of spec.inheritedMetadata and spec.services, so that they can be taken off. */
  inherited: `${API_GROUP}/inherited`,
  /** On a cluster, by a person: `true` while the operator is to change nothing of it. */
  paused: `${API_GROUP}/paused`,
  /** On a cluster, by a person: another value has its authority and all certificates made anew. On the authority's Secret: the last such value. */
  rotateCertificates: `${API_GROUP}/rotate-certificates`,
  /** On a program's Secret: since when it says how programs speak while a cluster goes over from plain text, RFC 3339. */
  tlsModeSince: `${API_GROUP}/tls-mode-since`,
  /** On the Secret NAME-token-review: when its token is to be replaced, RFC 3339. */
  tokenRenewedAt: `${API_GROUP}/token-renewed-at`,
  /** On the authority's Secret: when the last step of a rotation was done, RFC 3339. */
  rotationStepAt: `${API_GROUP}/rotation-step-at`,
  /** On a cluster, by a person: go on although the volume's data is gone. */
  acceptDataLoss: `${API_GROUP}/accept-data-loss`,
} as const;

/** On a cluster while its computes may still write: they end before storage does. */
export const FINALIZER = `${API_GROUP}/computes-first`;
export const MANAGER_SELECTOR = `${LABEL.managedBy}=kube-aurora`;
export const ZONE_TOPOLOGY = 'topology.kubernetes.io/zone';
export const HOST_TOPOLOGY = 'kubernetes.io/hostname';

/**
 * `writer` is PostgreSQL's second port, which leads to the writer from a reader too. At `token` tokens of ServiceAccounts are passwords; at
 * `tokenWriter` the same of a writer alone.
 */
export const PORT = {
  postgres: 5432,
  token: 5433,
  writer: 5435,
  tokenWriter: 5436,
  storage: 7001,
  storageStatus: 7002,
  agentStatus: 7003,
  storageFrames: 7004,
} as const;

/** Pod, PVC, daemon and segment share one name: `NAME-storage-0` to `-5` are those of the first protection group. */
export function storageName(cluster: string, segment: SegmentId): string {
  return `${cluster}-storage-${segmentOrdinal(segment)}`;
}

export function computeName(cluster: string, ordinal: number): string {
  return `${cluster}-${ordinal}`;
}

/** The ordinal of a compute pod's name; undefined when it is no name of this cluster's. */
export function computeOrdinal(cluster: string, podName: string): number | undefined {
  const digits = podName.startsWith(`${cluster}-`) ? podName.slice(cluster.length + 1) : '';
  return /^[1-9][0-9]{0,3}$/.test(digits) ? Number(digits) : undefined;
}

export function storageServiceName(cluster: string): string {
  return `${cluster}-storage`;
}

export function readWriteServiceName(cluster: string): string {
  return `${cluster}-rw`;
}

/** Leads to readers, or to the writer when no reader can be read. */
export function readOnlyServiceName(cluster: string): string {
  return `${cluster}-ro`;
}

/** Leads to every instance that is ready. */
export function readServiceName(cluster: string): string {
  return `${cluster}-r`;
}

/** Headless: gives every instance a name of its own, `NAME-2.NAME-instances.NAMESPACE.svc`. */
export function instancesServiceName(cluster: string): string {
  return `${cluster}-instances`;
}

/** Names that a custom endpoint cannot have: their Services are there anyway. */
export const RESERVED_ENDPOINTS = ['rw', 'ro', 'r', 'instances', 'storage'] as const;

/** The Service of one of spec.endpoints. */
export function endpointServiceName(cluster: string, endpoint: string): string {
  return `${cluster}-${endpoint}`;
}

/** On a compute pod, `true` or `false`: whether this endpoint leads to it while it is ready. */
export function endpointLabel(endpoint: string): string {
  return `endpoint.${API_GROUP}/${endpoint}`;
}

/** Where a cluster's computes take connections: `*` stands for the pod's name. */
export function instanceHosts(cluster: string, namespace: string): string {
  return `*.${instancesServiceName(cluster)}.${namespace}.svc`;
}

/** The ConfigMap with PostgreSQL's parameters. */
export function settingsName(cluster: string): string {
  return `${cluster}-settings`;
}

export function superuserSecretName(cluster: string): string {
  return `${cluster}-superuser`;
}

export function appSecretName(cluster: string): string {
  return `${cluster}-app`;
}

/** What the computes ask the API server with, of tokens that clients log in by. */
export function tokenReviewSecretName(cluster: string): string {
  return `${cluster}-token-review`;
}

/** Where programs find who they are, and the setting that says so. */
export const IDENTITY_DIR = '/etc/kube-aurora/identity';
export const IDENTITY_ENV = 'AURORA_IDENTITY_DIR';

/** Where a storage daemon finds the keys that wrap data keys, and the socket of a KMS's plugin. */
export const ENCRYPTION_DIR = '/etc/kube-aurora/encryption';
export const KMS_DIR = '/run/kube-aurora/kms';

/** The cluster's certificate authority; only the operator reads it. */
export function authoritySecretName(cluster: string): string {
  return `${cluster}-ca`;
}

/** What programs of a role show to others, and whom they believe. */
export function tlsSecretName(cluster: string, role: ProgramRole): string {
  return `${cluster}-${role}-tls`;
}

/** The address of a storage pod that holds across its re-creation. */
export function storageHost(cluster: string, namespace: string, segment: SegmentId): string {
  return `${storageName(cluster, segment)}.${storageServiceName(cluster)}.${namespace}.svc`;
}

/** Zone of a segment by its index: 0 and 3 in the first, 1 and 4 in the second, 2 and 5 in the third. */
export function segmentZone(zones: readonly string[], { index }: SegmentId): string {
  const zone = zones[index % zones.length];
  if (zone === undefined) throw new RangeError('spec.storage.zones is empty');
  return zone;
}

export function clusterLabels(cluster: string, component: 'storage' | 'compute'): Labels {
  return {
    [LABEL.managedBy]: 'kube-aurora',
    'app.kubernetes.io/name': 'kube-aurora',
    'app.kubernetes.io/instance': cluster,
    'app.kubernetes.io/component': component,
    [LABEL.cluster]: cluster,
    [LABEL.component]: component,
  };
}

const SHARED_LABELS: ReadonlySet<string> = new Set(Object.keys(clusterLabels('', 'storage')));

/** A label or an annotation that only the operator may set. */
export function isReservedKey(key: string): boolean {
  const domain = key.split('/')[0] ?? '';
  return domain === API_GROUP || domain.endsWith(`.${API_GROUP}`) || SHARED_LABELS.has(key);
}

/** What a selector needs to find a cluster's pods of one kind. */
export function selectorLabels(cluster: string, component: 'storage' | 'compute'): Labels {
  return { [LABEL.cluster]: cluster, [LABEL.component]: component };
}
