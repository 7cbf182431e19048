import type { JsonObject, KubeObject, ObjectMeta } from '../store/object.ts';
import { numberAt, objectAt, stringAt } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { refuse } from './errors.ts';
import { instant } from './metadata.ts';
import type { Resource } from './resources.ts';

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: string | undefined;
  readonly preconditions?: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined } | undefined;
  readonly dryRun?: boolean;
}

/** DeleteOptions out of a body, or out of the query for clients that send none. */
export function deleteOptionsOf(body: JsonObject, query: URLSearchParams): DeleteOptions {
  const grace = body['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds');
  const preconditions = objectAt(body, 'preconditions');
  const dryRun = Array.isArray(body['dryRun']) ? body['dryRun'] : query.getAll('dryRun');
  const orphan = body['orphanDependents'] === true ? 'Orphan' : undefined;
  return {
    gracePeriodSeconds: grace === null || grace === undefined ? undefined : Number(grace),
    propagationPolicy: stringAt(body, 'propagationPolicy') ?? query.get('propagationPolicy') ?? orphan,
    preconditions: { uid: stringAt(preconditions, 'uid'), resourceVersion: stringAt(preconditions, 'resourceVersion') },
    dryRun: dryRun.includes('All'),
  };
}

export interface Removal {
  readonly object: KubeObject;
  /** False when it waits for finalizers or a graceful end. */
  readonly gone: boolean;
}

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

/**
 * Removes an object, or marks it for deletion when something must happen first: a pod's graceful end, finalizers, a
 * namespace's content.
 */
export function removeObject(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  name: string,
  options: DeleteOptions,
  nowMs: number,
): Removal {
  const live = store.get(resource.storage, namespace, name);
  if (live === undefined) throw refuse.notFound(resource.group, resource.plural, name);
  checkPreconditions(resource, live, options);
  const grace = resource.storage === 'pods' ? podGrace(live, options.gracePeriodSeconds) : 0;
  const finalizers = finalizersFor(live.metadata, options.propagationPolicy);
  const waits = grace > 0 || finalizers.length > 0 || resource.storage === 'namespaces';
  if (options.dryRun === true) return { object: live, gone: !waits };
  if (!waits) return { object: store.delete(resource.storage, namespace, name) ?? live, gone: true };

  const before = live.metadata;
  const sooner = before.deletionTimestamp === undefined || grace < (before.deletionGracePeriodSeconds ?? 0);
  const sameFinalizers = finalizers.length === (before.finalizers ?? []).length;
  if (!sooner && sameFinalizers) return { object: live, gone: false };
  const metadata: ObjectMeta = {
    ...before,
    ...(sooner ? { deletionTimestamp: instant(nowMs + grace * 1000), deletionGracePeriodSeconds: grace } : {}),
    ...(before.deletionTimestamp === undefined ? { generation: (before.generation ?? 0) + 1 } : {}),
    ...(finalizers.length > 0 ? { finalizers } : {}),
  };
  const marked: KubeObject = { ...live, metadata };
  if (resource.storage === 'namespaces') marked['status'] = { ...(live['status'] as JsonObject | undefined), phase: 'Terminating' };
  return { object: store.put(resource.storage, marked), gone: false };
}

function checkPreconditions(resource: Resource, live: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== live.metadata.uid)
    throw refuse.conflict(
      resource.group,
      resource.plural,
      live.metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid ?? ''}`,
    );
  if (resourceVersion !== undefined && resourceVersion !== live.metadata.resourceVersion)
    throw refuse.conflict(
      resource.group,
      resource.plural,
      live.metadata.name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${live.metadata.resourceVersion ?? ''}`,
    );
}

/** Only a pod that a kubelet runs has something to end gracefully. */
function podGrace(pod: KubeObject, asked: number | undefined): number {
  const ended = ['Succeeded', 'Failed'].includes(stringAt(pod, 'status', 'phase') ?? '');
  if (stringAt(pod, 'spec', 'nodeName') === undefined || ended) return 0;
  const wanted = asked ?? numberAt(pod, 'spec', 'terminationGracePeriodSeconds') ?? 30;
  const running = pod.metadata.deletionTimestamp === undefined ? undefined : pod.metadata.deletionGracePeriodSeconds;
  return Math.max(0, running === undefined ? wanted : Math.min(wanted, running));
}

function finalizersFor(metadata: ObjectMeta, policy: string | undefined): string[] {
  const own = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== FOREGROUND && finalizer !== ORPHAN);
  const kept = policy === undefined ? (metadata.finalizers ?? []) : own;
  if (policy === 'Foreground') return [...kept, FOREGROUND];
  return policy === 'Orphan' ? [...kept, ORPHAN] : kept;
}
