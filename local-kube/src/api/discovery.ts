import type { Json, JsonObject } from '../store/object.ts';
import { apiVersionOf, type Resource } from './resources.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const verbsOf = (resource: Resource): string[] => (resource.review ? ['create'] : VERBS);
const subresourceVerbs = (name: string): string[] =>
  name === 'log' ? ['get'] : name === 'binding' || name === 'eviction' || name === 'token' ? ['create'] : ['get', 'patch', 'update'];
/** Not served; listed nowhere. */
const HIDDEN = new Set(['exec', 'attach', 'portforward', 'finalize']);

interface SubresourceKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/**
 * What a subresource speaks, where that is not its resource's own kind; `kubectl drain` looks for Eviction, `kubectl
 * scale` for Scale.
 */
const KINDS: { readonly [subresource: string]: SubresourceKind } = {
  eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  binding: { group: '', version: 'v1', kind: 'Binding' },
  token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
};

interface Group {
  readonly name: string;
  readonly versions: Map<string, Resource[]>;
}

function groupsOf(resources: readonly Resource[]): Group[] {
  const groups = new Map<string, Group>();
  for (const resource of resources) {
    const group = groups.get(resource.group) ?? { name: resource.group, versions: new Map<string, Resource[]>() };
    groups.set(resource.group, group);
    group.versions.set(resource.version, [...(group.versions.get(resource.version) ?? []), resource]);
  }
  return [...groups.values()];
}

/** /api and /apis in one answer each, as kubectl 1.27 and later ask for it. */
export function aggregatedDiscovery(resources: readonly Resource[], core: boolean, version: string): JsonObject {
  const groups = groupsOf(resources).filter((group) => (group.name === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: core ? {} : { name: group.name },
      versions: [...group.versions].map(([name, list]) => ({ version: name, freshness: 'Current', resources: list.map(discovered) })),
    })),
  };
}

function discovered(resource: Resource): Json {
  const kind = { group: resource.group, version: resource.version, kind: resource.kind };
  return {
    resource: resource.plural,
    responseKind: kind,
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: verbsOf(resource),
    ...(resource.shortNames.length > 0 ? { shortNames: [...resource.shortNames] } : {}),
    ...(resource.categories.length > 0 ? { categories: [...resource.categories] } : {}),
    subresources: [...resource.subresources]
      .filter((name) => !HIDDEN.has(name))
      .map((name) => ({ subresource: name, responseKind: { ...(KINDS[name] ?? kind) }, verbs: subresourceVerbs(name) })),
  };
}

export function apiVersions(address: string): JsonObject {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }] };
}

function groupDocument(group: Group): JsonObject {
  const versions = [...group.versions.keys()].map((version) => ({ groupVersion: `${group.name}/${version}`, version }));
  return { name: group.name, versions, preferredVersion: versions[0] ?? null };
}

export function apiGroupList(resources: readonly Resource[]): JsonObject {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groupsOf(resources)
      .filter((group) => group.name !== '')
      .map(groupDocument),
  };
}

export function apiGroup(resources: readonly Resource[], name: string): JsonObject | undefined {
  const group = groupsOf(resources).find((one) => one.name === name);
  return group === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group) };
}

export function apiResourceList(resources: readonly Resource[], group: string, version: string): JsonObject | undefined {
  const list = resources.filter((resource) => resource.group === group && resource.version === version);
  if (list.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: list.flatMap((resource) => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: verbsOf(resource),
        ...(resource.shortNames.length > 0 ? { shortNames: [...resource.shortNames] } : {}),
        ...(resource.categories.length > 0 ? { categories: [...resource.categories] } : {}),
      },
      ...[...resource.subresources]
        .filter((name) => !HIDDEN.has(name))
        .map((name) => ({
          name: `${resource.plural}/${name}`,
          singularName: '',
          namespaced: resource.namespaced,
          ...(KINDS[name] ?? { kind: resource.kind }),
          verbs: subresourceVerbs(name),
        })),
    ]),
  };
}
