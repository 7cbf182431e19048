import type { Logger } from '@kube-aurora/process';
import { CRD_CLEANUP_FINALIZER } from '../api/crd-strategy.ts';
import type { Registry } from '../api/registry.ts';
import { CRDS, customResources } from '../api/resources.ts';
import { objectAt, type JsonObject, type KubeObject } from '../store/object.ts';
import { dropFinalizer } from './garbage-collector.ts';
import { reconcileOn, type Running } from './reconcile.ts';

const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/**
 * Keeps each namespace furnished (a default service account, the CA), empties the ones being deleted, and does the same
 * for deleted CRDs.
 */
export function runNamespaces(registry: Registry, logger: Logger, ca: string): Running {
  const { store } = registry;
  return reconcileOn(
    store,
    logger,
    'namespaces',
    (change) => change.resource === 'namespaces' || change.resource === CRDS || change.type === 'DELETED',
    () => {
      for (const name of SYSTEM_NAMESPACES) make(registry, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      for (const namespace of store.list('namespaces')) {
        if (namespace.metadata.deletionTimestamp === undefined) furnish(registry, namespace.metadata.name, ca);
        else empty(registry, namespace);
      }
      for (const crd of store.list(CRDS)) if (crd.metadata.deletionTimestamp !== undefined) emptyDefinition(registry, crd);
    },
  );
}

function furnish(registry: Registry, namespace: string, ca: string): void {
  make(registry, namespace, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } });
  make(registry, namespace, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kube-root-ca.crt', namespace },
    data: { 'ca.crt': ca },
  });
}

/** Creates an object unless it is there. */
export function make(registry: Registry, namespace: string | undefined, object: KubeObject): void {
  const resource = registry.catalog.byKind(object.apiVersion, object.kind);
  if (resource === undefined || registry.store.get(resource.storage, namespace, object.metadata.name) !== undefined) return;
  registry.create(resource, namespace, object, { manager: 'local-kube' });
}

function empty(registry: Registry, namespace: KubeObject): void {
  const { store } = registry;
  const { name } = namespace.metadata;
  let left = 0;
  for (const storage of store.resources()) {
    const resource = registry.catalog.byStorage(storage);
    if (resource === undefined || !resource.namespaced) continue;
    for (const object of store.list(storage, name)) {
      if (object.metadata.deletionTimestamp === undefined) registry.remove(resource, name, object.metadata.name);
      if (store.get(storage, name, object.metadata.name) !== undefined) left += 1;
    }
  }
  if (left > 0) return;
  const resource = registry.catalog.byStorage('namespaces');
  if (resource === undefined) return;
  const spec: JsonObject = { ...objectAt(namespace, 'spec'), finalizers: [] };
  // The strategy would put the finalizer back only where the field is absent.
  registry.change(resource, undefined, name, (live) => ({ ...live, spec }), { manager: 'namespaces' });
}

function emptyDefinition(registry: Registry, crd: KubeObject): void {
  if (crd.metadata.finalizers?.includes(CRD_CLEANUP_FINALIZER) !== true) return;
  const resource = customResources(crd)[0];
  const instances = resource === undefined ? [] : registry.store.list(resource.storage);
  if (resource !== undefined) {
    for (const object of instances)
      if (object.metadata.deletionTimestamp === undefined) registry.remove(resource, object.metadata.namespace, object.metadata.name);
  }
  if (resource === undefined || registry.store.list(resource.storage).length === 0)
    dropFinalizer(registry, CRDS, crd, CRD_CLEANUP_FINALIZER);
}
