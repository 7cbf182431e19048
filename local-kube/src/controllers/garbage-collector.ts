import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import { FOREGROUND, ORPHAN } from '../api/removal.ts';
import type { KubeObject } from '../store/object.ts';
import { reconcileOn, type Running } from './reconcile.ts';

/**
 * Removes what lost its last owner, and carries out foreground and orphaning deletions.
 * https://kubernetes.io/docs/concepts/architecture/garbage-collection/
 */
export function runGarbageCollector(registry: Registry, logger: Logger): Running {
  const { store } = registry;
  return reconcileOn(
    store,
    logger,
    'garbage-collector',
    (change) =>
      change.type === 'DELETED' ||
      change.object.metadata.deletionTimestamp !== undefined ||
      (change.object.metadata.ownerReferences ?? []).length > 0,
    () => collect(registry),
  );
}

interface Held {
  readonly storage: string;
  readonly object: KubeObject;
}

function collect(registry: Registry): void {
  const { store } = registry;
  const all: Held[] = store.resources().flatMap((storage) => store.list(storage).map((object) => ({ storage, object })));
  const byUid = new Map(all.map((held) => [held.object.metadata.uid ?? '', held]));
  const dependents = new Map<string, Held[]>();
  for (const held of all) {
    const owners = held.object.metadata.ownerReferences ?? [];
    for (const owner of owners) dependents.set(owner.uid, [...(dependents.get(owner.uid) ?? []), held]);
    const present = owners.map((owner) => byUid.get(owner.uid)?.object).filter((owner) => owner !== undefined);
    const kept = present.some((owner) => owner.metadata.finalizers?.includes(FOREGROUND) !== true);
    if (owners.length > 0 && !kept && held.object.metadata.deletionTimestamp === undefined) removeHeld(registry, held);
  }
  for (const { storage, object } of all) {
    if (object.metadata.deletionTimestamp === undefined) continue;
    const below = dependents.get(object.metadata.uid ?? '') ?? [];
    if (object.metadata.finalizers?.includes(ORPHAN) === true) {
      for (const held of below) release(registry, held, object.metadata.uid ?? '');
      dropFinalizer(registry, storage, object, ORPHAN);
    } else if (object.metadata.finalizers?.includes(FOREGROUND) === true) {
      const blocking = below.some(
        (held) =>
          store.get(held.storage, held.object.metadata.namespace, held.object.metadata.name)?.metadata.uid === held.object.metadata.uid,
      );
      if (!blocking) dropFinalizer(registry, storage, object, FOREGROUND);
    }
  }
}

function removeHeld(registry: Registry, { storage, object }: Held): void {
  const resource = registry.catalog.byStorage(storage);
  if (resource === undefined) return;
  registry.remove(resource, object.metadata.namespace, object.metadata.name, { preconditions: { uid: object.metadata.uid } });
}

function release(registry: Registry, { storage, object }: Held, owner: string): void {
  const resource = registry.catalog.byStorage(storage);
  if (resource === undefined) return;
  registry.change(
    resource,
    object.metadata.namespace,
    object.metadata.name,
    (live) => ({
      ...live,
      metadata: { ...live.metadata, ownerReferences: (live.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== owner) },
    }),
    { manager: 'garbage-collector' },
  );
}

/** Takes a finalizer off an object that is being deleted; the last one lets it go. */
export function dropFinalizer(registry: Registry, storage: string, object: KubeObject, finalizer: string): void {
  const resource = registry.catalog.byStorage(storage);
  if (resource === undefined) return;
  registry.change(
    resource,
    object.metadata.namespace,
    object.metadata.name,
    (live) => ({
      ...live,
      metadata: { ...live.metadata, finalizers: (live.metadata.finalizers ?? []).filter((one) => one !== finalizer) },
    }),
    { manager: 'garbage-collector' },
  );
}
