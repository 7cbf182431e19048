import { createHash } from 'node:crypto';
import { ANNOTATION, isReservedKey } from '../api/names.ts';
import type { AuroraCluster, Metadata } from '../api/types.ts';
import { API_GROUP_VERSION, CLUSTER_KIND } from '../api/types.ts';
import type { KubeObject, Labels, ObjectMeta, OwnerReference } from '../kube/objects.ts';

/** The cluster as controlling owner: deleting it removes the object by garbage collection. */
export function ownerReference(cluster: AuroraCluster): OwnerReference {
  const { name, uid } = cluster.metadata;
  if (uid === undefined) throw new TypeError(`AuroraCluster ${name} has no uid: it was not read from an API server`);
  return { apiVersion: API_GROUP_VERSION, kind: CLUSTER_KIND, name, uid, controller: true, blockOwnerDeletion: true };
}

export function clusterNamespace(cluster: AuroraCluster): string {
  return cluster.metadata.namespace ?? 'default';
}

/** namespace/name, as logs have it. */
export function clusterKey(cluster: AuroraCluster): string {
  return `${clusterNamespace(cluster)}/${cluster.metadata.name}`;
}

/** Made by this very cluster object, not by an earlier one of the same name. */
export function isOwnedBy(object: KubeObject, cluster: AuroraCluster): boolean {
  return object.metadata.ownerReferences?.some((owner) => owner.uid === cluster.metadata.uid) ?? false;
}

/** Controlled by another cluster object of the same name, which is gone or going. */
export function isLeftover(object: KubeObject, cluster: AuroraCluster): boolean {
  const owners = object.metadata.ownerReferences ?? [];
  return !isOwnedBy(object, cluster) && owners.some((owner) => owner.kind === CLUSTER_KIND && owner.name === cluster.metadata.name);
}

export interface OwnMetadata {
  readonly name: string;
  readonly labels: Labels;
  readonly annotations?: Labels;
  /** Beside what everything inherits. */
  readonly also?: Metadata | undefined;
  /** False: it outlives the cluster. */
  readonly owned?: boolean;
}

/**
 * Metadata of something that the operator makes: what the manifest has it inherit, and ours over it. The names of what is inherited
 * stand in an annotation, so that what the manifest says no more can be taken off (see `strayMetadata`).
 */
export function objectMetadata(cluster: AuroraCluster, own: OwnMetadata): ObjectMeta {
  const inherited = [cluster.spec.inheritedMetadata, own.also];
  const labels: Labels = Object.assign({}, ...inherited.map((one) => one?.labels));
  const annotations: Labels = Object.assign({}, ...inherited.map((one) => one?.annotations));
  const names = { annotations: Object.keys(annotations).sort(), labels: Object.keys(labels).sort() };
  const mark: Labels = names.annotations.length + names.labels.length === 0 ? {} : { [ANNOTATION.inherited]: JSON.stringify(names) };
  const all = { ...annotations, ...own.annotations, ...mark };
  return {
    name: own.name,
    namespace: clusterNamespace(cluster),
    labels: { ...labels, ...own.labels },
    ...(own.annotations === undefined && Object.keys(all).length === 0 ? {} : { annotations: all }),
    ownerReferences: own.owned === false ? [] : [ownerReference(cluster)],
  };
}

/** Names of labels and annotations; null takes them off in a merge patch. */
export interface StrayMetadata {
  readonly labels: Readonly<Record<string, null>>;
  readonly annotations: Readonly<Record<string, null>>;
}

/** What an object inherited, and should not have any more. */
export function strayMetadata(live: ObjectMeta, desired: ObjectMeta): StrayMetadata | undefined {
  const recorded = live.annotations?.[ANNOTATION.inherited];
  if (recorded === undefined || recorded === desired.annotations?.[ANNOTATION.inherited]) return undefined;
  const gone = (names: readonly string[], kept: Labels = {}): Readonly<Record<string, null>> =>
    Object.fromEntries(names.filter((name) => !(name in kept) && !isReservedKey(name)).map((name) => [name, null]));
  const { labels, annotations } = inheritedNames(recorded);
  const mark = desired.annotations?.[ANNOTATION.inherited] === undefined ? { [ANNOTATION.inherited]: null } : {};
  return { labels: gone(labels, desired.labels), annotations: { ...gone(annotations, desired.annotations), ...mark } };
}

function inheritedNames(recorded: string): { readonly labels: readonly string[]; readonly annotations: readonly string[] } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(recorded);
  } catch {
    // Somebody changed it: what it said is not known any more, and the next version of it is ours again.
  }
  const names = (of: string): readonly string[] => {
    const list: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, of) : undefined;
    return Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [];
  };
  return { labels: names('labels'), annotations: names('annotations') };
}

/** Has an object all labels and annotations that it should, and none that it inherited once? */
export function hasMetadata(live: ObjectMeta, desired: ObjectMeta): boolean {
  return covers(live, desired) && strayMetadata(live, desired) === undefined;
}

/** A pod carries the restart that was last asked for when it was made: another one since means that it is due. */
export function restartMark(cluster: AuroraCluster): Readonly<Record<string, string>> {
  const asked = cluster.metadata.annotations?.[ANNOTATION.restartedAt];
  return asked === undefined ? {} : { [ANNOTATION.restartedAt]: asked };
}

/** JSON with sorted keys and without absent fields: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** 16 hex digits that stand for a value; two values that differ practically never share them. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16);
}

/**
 * Does `live` hold everything that `desired` says? Fields that the API server or others added do not count. Lists are
 * compared whole, except that their items may carry more fields.
 */
export function covers(live: unknown, desired: unknown): boolean {
  if (desired === undefined) return true;
  if (Array.isArray(desired)) {
    return Array.isArray(live) && live.length === desired.length && desired.every((item, index) => covers(live[index], item));
  }
  if (typeof desired === 'object' && desired !== null) {
    if (typeof live !== 'object' || live === null) return false;
    const fields: Readonly<Record<string, unknown>> = { ...live };
    return Object.entries(desired).every(([key, value]) => covers(fields[key], value));
  }
  return live === desired;
}
