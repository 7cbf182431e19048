import { builtinDefinition } from '../schema/builtin-types.ts';
import type { OpenSchema } from '../schema/open-schema.ts';
import type { Printer } from '../print/column.ts';
import { customPrinter, PLAIN_PRINTER, PRINTERS } from '../print/columns.ts';
import { arrayAt, isObject, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { customFields, selectableFieldsOf } from './field-labels.ts';
import { scalePath, type ScalePaths } from './scale.ts';

/** One version of one kind, as the API serves it. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Key in the store: `pods`, `apps/x`; shared by the versions of a kind, and by the two groups of events. */
  readonly storage: string;
  readonly schema: OpenSchema | undefined;
  readonly subresources: ReadonlySet<string>;
  /** Where the scale subresource finds its numbers; undefined for kinds without one. */
  readonly scale: ScalePaths | undefined;
  /** Fields that a field selector may name. */
  readonly selectableFields: readonly string[];
  readonly printer: Printer;
  readonly custom: boolean;
  /** A question, answered and never kept. */
  readonly review: boolean;
}

export const CRDS = 'apiextensions.k8s.io/customresourcedefinitions';

export function apiVersionOf(resource: { group: string; version: string }): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

type Builtin = readonly [
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced: boolean,
  shortNames: string,
  options?: {
    subresources?: string;
    categories?: string;
    model?: string;
    storage?: string;
    singular?: string;
    scale?: ScalePaths;
    review?: true;
  },
];

const WORKLOAD_SCALE: ScalePaths = {
  specReplicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  selector: ['spec', 'selector'],
};
const RBAC = 'rbac.authorization.k8s.io';
const BUILTINS: readonly Builtin[] = [
  ['', 'v1', 'Namespace', 'namespaces', false, 'ns', { subresources: 'status finalize' }],
  ['', 'v1', 'Node', 'nodes', false, 'no', { subresources: 'status' }],
  ['', 'v1', 'Pod', 'pods', true, 'po', { subresources: 'status log binding eviction exec attach portforward proxy', categories: 'all' }],
  ['', 'v1', 'Service', 'services', true, 'svc', { subresources: 'status', categories: 'all' }],
  ['', 'v1', 'Endpoints', 'endpoints', true, 'ep', { singular: 'endpoints' }],
  ['', 'v1', 'ConfigMap', 'configmaps', true, 'cm'],
  ['', 'v1', 'Secret', 'secrets', true, ''],
  ['', 'v1', 'PersistentVolumeClaim', 'persistentvolumeclaims', true, 'pvc', { subresources: 'status' }],
  ['', 'v1', 'PersistentVolume', 'persistentvolumes', false, 'pv', { subresources: 'status' }],
  ['', 'v1', 'ServiceAccount', 'serviceaccounts', true, 'sa', { subresources: 'token' }],
  ['', 'v1', 'Event', 'events', true, 'ev', { model: 'CoreV1Event' }],
  ['events.k8s.io', 'v1', 'Event', 'events', true, 'ev', { model: 'EventsV1Event', storage: 'events' }],
  ['coordination.k8s.io', 'v1', 'Lease', 'leases', true, ''],
  ['discovery.k8s.io', 'v1', 'EndpointSlice', 'endpointslices', true, ''],
  ['apps', 'v1', 'Deployment', 'deployments', true, 'deploy', { subresources: 'status scale', categories: 'all', scale: WORKLOAD_SCALE }],
  ['apps', 'v1', 'ReplicaSet', 'replicasets', true, 'rs', { subresources: 'status scale', categories: 'all', scale: WORKLOAD_SCALE }],
  ['policy', 'v1', 'PodDisruptionBudget', 'poddisruptionbudgets', true, 'pdb', { subresources: 'status' }],
  ['storage.k8s.io', 'v1', 'StorageClass', 'storageclasses', false, 'sc'],
  ['scheduling.k8s.io', 'v1', 'PriorityClass', 'priorityclasses', false, 'pc'],
  [
    'admissionregistration.k8s.io',
    'v1',
    'ValidatingAdmissionPolicy',
    'validatingadmissionpolicies',
    false,
    '',
    { subresources: 'status', categories: 'api-extensions' },
  ],
  [
    'admissionregistration.k8s.io',
    'v1',
    'ValidatingAdmissionPolicyBinding',
    'validatingadmissionpolicybindings',
    false,
    '',
    { categories: 'api-extensions' },
  ],
  ['authorization.k8s.io', 'v1', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', false, '', { review: true }],
  ['authorization.k8s.io', 'v1', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', false, '', { review: true }],
  ['authorization.k8s.io', 'v1', 'SubjectAccessReview', 'subjectaccessreviews', false, '', { review: true }],
  ['authentication.k8s.io', 'v1', 'SelfSubjectReview', 'selfsubjectreviews', false, '', { review: true }],
  ['authentication.k8s.io', 'v1', 'TokenReview', 'tokenreviews', false, '', { review: true }],
  [RBAC, 'v1', 'Role', 'roles', true, ''],
  [RBAC, 'v1', 'RoleBinding', 'rolebindings', true, ''],
  [RBAC, 'v1', 'ClusterRole', 'clusterroles', false, ''],
  [RBAC, 'v1', 'ClusterRoleBinding', 'clusterrolebindings', false, ''],
  [
    'apiextensions.k8s.io',
    'v1',
    'CustomResourceDefinition',
    'customresourcedefinitions',
    false,
    'crd crds',
    { subresources: 'status', categories: 'api-extensions' },
  ],
];

const words = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(' '));

function builtinResource([group, version, kind, plural, namespaced, shortNames, options = {}]: Builtin): Resource {
  const storage = options.storage ?? (group === '' ? plural : `${group}/${plural}`);
  let schema: OpenSchema | undefined;
  return {
    group,
    version,
    kind,
    listKind: `${kind}List`,
    plural,
    singular: options.singular ?? kind.toLowerCase(),
    shortNames: words(shortNames),
    categories: words(options.categories),
    namespaced,
    storage,
    /** Read when first needed: most kinds are never asked for in a run. */
    get schema() {
      return (schema ??= builtinDefinition(options.model ?? `V1${kind}`));
    },
    subresources: new Set(words(options.subresources)),
    scale: options.scale,
    selectableFields: selectableFieldsOf(group, plural),
    printer: PRINTERS[storage] ?? PLAIN_PRINTER,
    custom: false,
    review: options.review === true,
  };
}

/** The resources of a CustomResourceDefinition, one for each served version. */
export function customResources(crd: KubeObject): Resource[] {
  const names = objectAt(crd, 'spec', 'names');
  const group = stringAt(crd, 'spec', 'group') ?? '';
  const plural = stringAt(names, 'plural') ?? '';
  const kind = stringAt(names, 'kind') ?? '';
  const texts = (key: string): string[] => arrayAt(names, key).map(String);
  return arrayAt(crd, 'spec', 'versions')
    .filter((version): version is JsonObject => isObject(version) && version['served'] === true)
    .map((version) => ({
      group,
      version: stringAt(version, 'name') ?? '',
      kind,
      listKind: stringAt(names, 'listKind') ?? `${kind}List`,
      plural,
      singular: stringAt(names, 'singular') ?? kind.toLowerCase(),
      shortNames: texts('shortNames'),
      categories: texts('categories'),
      namespaced: stringAt(crd, 'spec', 'scope') !== 'Cluster',
      storage: `${group}/${plural}`,
      schema: customSchema(objectAt(version, 'schema', 'openAPIV3Schema')),
      subresources: new Set(Object.keys(objectAt(version, 'subresources'))),
      scale: customScale(objectAt(version, 'subresources')['scale']),
      selectableFields: customFields(stringAt(crd, 'spec', 'scope') !== 'Cluster', arrayAt(version, 'selectableFields')),
      printer: customPrinter(version['additionalPrinterColumns']),
      custom: true,
      review: false,
    }));
}

function customScale(declared: Json | undefined): ScalePaths | undefined {
  if (!isObject(declared)) return undefined;
  const selector = stringAt(declared, 'labelSelectorPath');
  return {
    specReplicas: scalePath(stringAt(declared, 'specReplicasPath') ?? ''),
    statusReplicas: scalePath(stringAt(declared, 'statusReplicasPath') ?? ''),
    ...(selector === undefined ? {} : { selector: scalePath(selector) }),
  };
}

/** A CRD's schema with the parts that every object has, whatever the CRD says of them. */
function customSchema(declared: JsonObject): OpenSchema {
  const schema = declared as OpenSchema;
  return {
    ...schema,
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: builtinDefinition('V1ObjectMeta'),
    },
  };
}

/** Everything that is served now: the built-in kinds, and those of the CRDs in the store. */
export class ResourceCatalog {
  readonly #builtins = BUILTINS.map(builtinResource);
  #all: Resource[] = [];

  constructor(store: Store) {
    const rebuild = (): void => {
      this.#all = [...this.#builtins, ...store.list(CRDS).flatMap(customResources)];
    };
    rebuild();
    store.subscribe((change) => {
      if (change.resource === CRDS) rebuild();
    });
  }

  all(): readonly Resource[] {
    return this.#all;
  }

  find(group: string, version: string, plural: string): Resource | undefined {
    return this.#all.find((one) => one.plural === plural && one.group === group && one.version === version);
  }

  byKind(apiVersion: string, kind: string): Resource | undefined {
    return this.#all.find((one) => one.kind === kind && apiVersionOf(one) === apiVersion);
  }

  /** The first version of what is stored under a key. */
  byStorage(storage: string): Resource | undefined {
    return this.#all.find((one) => one.storage === storage);
  }
}
