/**
 * What is asked of the API server, by RBAC's words; `patch-status` is `patch` on the status subresource, `create-token` is `create` on that
 * of tokens.
 */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'create-token' | 'update' | 'patch' | 'patch-status' | 'delete';

/**
 * A kind of object at the API server: where its collection is, and what the operator does with it. A call asks for a
 * resource with its verb, so that the compiler finds a call that the table does not name; the chart's roles are compared
 * with the table (helm/generate/rights.test.ts).
 */
export interface Resource<V extends Verb = never> {
  /** `/api/v1` or `/apis/GROUP/VERSION`. */
  readonly root: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: { readonly [K in V]: true };
}

/** What `apply` needs: it makes the object or changes it, after a look whether the name is taken. */
export type Applied = 'get' | 'create' | 'patch';

export function resource<V extends Verb>(root: string, plural: string, scope: 'Namespaced' | 'Cluster', verbs: readonly V[]): Resource<V> {
  const may: Partial<Record<V, true>> = {};
  for (const verb of verbs) may[verb] = true;
  return { root, plural, namespaced: scope === 'Namespaced', verbs: may as { [K in V]: true } };
}

export const RESOURCE = {
  pods: resource('/api/v1', 'pods', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch', 'delete']),
  volumeClaims: resource('/api/v1', 'persistentvolumeclaims', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch', 'delete']),
  services: resource('/api/v1', 'services', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch', 'delete']),
  secrets: resource('/api/v1', 'secrets', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch']),
  configMaps: resource('/api/v1', 'configmaps', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch']),
  events: resource('/api/v1', 'events', 'Namespaced', ['get', 'create', 'patch']),
  storageClasses: resource('/apis/storage.k8s.io/v1', 'storageclasses', 'Cluster', ['list', 'watch']),
  nodes: resource('/api/v1', 'nodes', 'Cluster', ['list', 'watch']),
  serviceAccounts: resource('/api/v1', 'serviceaccounts', 'Namespaced', ['create-token']),
  leases: resource('/apis/coordination.k8s.io/v1', 'leases', 'Namespaced', ['get', 'create', 'update']),
  disruptionBudgets: resource('/apis/policy/v1', 'poddisruptionbudgets', 'Namespaced', ['get', 'list', 'watch', 'create', 'patch']),
} as const;

/** Path of a collection (all namespaces when none is given). */
export function collectionPath({ root, plural, namespaced }: Resource, namespace?: string): string {
  return namespaced && namespace !== undefined && namespace !== '' ? `${root}/namespaces/${namespace}/${plural}` : `${root}/${plural}`;
}

export function objectPath(resource: Resource, namespace: string | undefined, name: string, subresource?: 'status' | 'token'): string {
  return `${collectionPath(resource, namespace)}/${name}${subresource === undefined ? '' : `/${subresource}`}`;
}
