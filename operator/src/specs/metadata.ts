import { createHash } from 'node:crypto';
import { ANNOTATION } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import { API_GROUP_VERSION, CLUSTER_KIND } from '../api/types.ts';
import type { KubeObject, OwnerReference } from '../kube/objects.ts';

/** The cluster as controlling owner: deleting it removes the object by garbage collection. */
export function ownerReference(cluster: AuroraCluster): OwnerReference {
  const { name, uid } = cluster.metadata;
  if (uid === undefined) throw new TypeError(`AuroraCluster ${name} has no uid: it was not read from an API server`);
  return { apiVersion: API_GROUP_VERSION, kind: CLUSTER_KIND, name, uid, controller: true, blockOwnerDeletion: true };
}

export function clusterNamespace(cluster: AuroraCluster): string {
  return cluster.metadata.namespace ?? 'default';
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
