/** A kind of object at the API server: where its collection is. */
export interface Resource {
  /** `/api/v1` or `/apis/GROUP/VERSION`. */
  readonly root: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

export const RESOURCE = {
  pods: { root: '/api/v1', plural: 'pods', namespaced: true },
  volumeClaims: { root: '/api/v1', plural: 'persistentvolumeclaims', namespaced: true },
  services: { root: '/api/v1', plural: 'services', namespaced: true },
  secrets: { root: '/api/v1', plural: 'secrets', namespaced: true },
  configMaps: { root: '/api/v1', plural: 'configmaps', namespaced: true },
  events: { root: '/api/v1', plural: 'events', namespaced: true },
  storageClasses: { root: '/apis/storage.k8s.io/v1', plural: 'storageclasses', namespaced: false },
  nodes: { root: '/api/v1', plural: 'nodes', namespaced: false },
  leases: { root: '/apis/coordination.k8s.io/v1', plural: 'leases', namespaced: true },
  disruptionBudgets: { root: '/apis/policy/v1', plural: 'poddisruptionbudgets', namespaced: true },
} as const satisfies Readonly<Record<string, Resource>>;

/** Path of a collection (all namespaces when none is given). */
export function collectionPath(resource: Resource, namespace?: string): string {
  return resource.namespaced && namespace !== undefined && namespace !== ''
    ? `${resource.root}/namespaces/${namespace}/${resource.plural}`
    : `${resource.root}/${resource.plural}`;
}

export function objectPath(resource: Resource, namespace: string | undefined, name: string, subresource?: 'status'): string {
  return `${collectionPath(resource, namespace)}/${name}${subresource === undefined ? '' : `/${subresource}`}`;
}
