import { arrayAt, isObject, numberAt, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { labelSelectorText } from '../store/selectors.ts';
import { age } from './duration.ts';
import { jsonPath } from './json-path.ts';
import { podCells, POD_COLUMNS } from './pod-columns.ts';
import { column, type Printer } from './column.ts';

const none = (text: string | undefined): string => (text === undefined || text === '' ? '<none>' : text);
const created = (object: KubeObject, nowMs: number): string => age(object.metadata.creationTimestamp, nowMs);
const list = (values: Json[]): string => none(values.map(String).join(','));
const pairs = (labels: JsonObject): string => list(Object.entries(labels).map(([key, value]) => `${key}=${String(value)}`));

/** NAME … AGE, with the given columns between; `wide` columns come after AGE. */
function printer(
  middle: { [name: string]: (object: KubeObject, nowMs: number) => Json },
  wide: { [name: string]: (object: KubeObject) => Json } = {},
  ageColumn = true,
): Printer {
  return {
    columns: [
      column('Name'),
      ...Object.keys(middle).map((name) => column(name)),
      ...(ageColumn ? [column('Age')] : []),
      ...Object.keys(wide).map((name) => column(name, 1)),
    ],
    cells: (object, nowMs) => [
      object.metadata.name,
      ...Object.values(middle).map((cell) => cell(object, nowMs)),
      ...(ageColumn ? [created(object, nowMs)] : []),
      ...Object.values(wide).map((cell) => cell(object)),
    ],
  };
}

function servicePorts(object: KubeObject): string {
  return list(
    arrayAt(object, 'spec', 'ports').map((port) => {
      const node = numberAt(port, 'nodePort');
      return `${String(numberAt(port, 'port'))}${node === undefined ? '' : `:${node}`}/${stringAt(port, 'protocol') ?? 'TCP'}`;
    }),
  );
}

/** As kubectl shows it: three at most, then how many more. */
function someOf(values: string[]): string {
  if (values.length === 0) return '<none>';
  return values.length > 3 ? `${values.slice(0, 3).join(',')} + ${values.length - 3} more...` : values.join(',');
}

function endpointAddresses(object: KubeObject): string {
  const all = arrayAt(object, 'subsets').flatMap((subset) => {
    const ips = arrayAt(subset, 'addresses').map((address) => stringAt(address, 'ip') ?? '');
    const ports = arrayAt(subset, 'ports').map((port) => numberAt(port, 'port'));
    return ports.length === 0 ? ips : ports.flatMap((port) => ips.map((ip) => `${ip}:${String(port)}`));
  });
  return someOf(all);
}

function nodeStatus(object: KubeObject): string {
  const ready = arrayAt(object, 'status', 'conditions').find((condition) => stringAt(condition, 'type') === 'Ready');
  const state = stringAt(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return valueTrue(object, 'spec', 'unschedulable') ? `${state},SchedulingDisabled` : state;
}

function valueTrue(object: KubeObject, group: string, key: string): boolean {
  return objectAt(object, group)[key] === true;
}

function modes(value: Json | undefined): string {
  const short: { [mode: string]: string } = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' };
  return Array.isArray(value) ? value.map((mode) => short[String(mode)] ?? String(mode)).join(',') : '';
}

const phase = (object: KubeObject): string =>
  object.metadata.deletionTimestamp === undefined ? (stringAt(object, 'status', 'phase') ?? '') : 'Terminating';
const subjects = (object: KubeObject, kind: string): string =>
  arrayAt(object, 'subjects')
    .filter((subject) => stringAt(subject, 'kind') === kind)
    .map((subject) =>
      kind === 'ServiceAccount'
        ? `${stringAt(subject, 'namespace') ?? ''}/${stringAt(subject, 'name') ?? ''}`
        : (stringAt(subject, 'name') ?? ''),
    )
    .join(', ');
const roleBinding: Printer = printer(
  { Role: (object) => `${stringAt(object, 'roleRef', 'kind') ?? ''}/${stringAt(object, 'roleRef', 'name') ?? ''}` },
  {
    Users: (object) => subjects(object, 'User'),
    Groups: (object) => subjects(object, 'Group'),
    ServiceAccounts: (object) => subjects(object, 'ServiceAccount'),
  },
);
const createdAt: Printer = {
  columns: [column('Name'), column('Created At', 0, 'date')],
  cells: (object) => [object.metadata.name, object.metadata.creationTimestamp ?? ''],
};

const containerTexts = (object: KubeObject, key: string): string =>
  arrayAt(object, 'spec', 'template', 'spec', 'containers')
    .map((container) => stringAt(container, key) ?? '')
    .join(',');
const templateCells = {
  Containers: (object: KubeObject): Json => containerTexts(object, 'name'),
  Images: (object: KubeObject): Json => containerTexts(object, 'image'),
  Selector: (object: KubeObject): Json => labelSelectorText(objectAt(object, 'spec', 'selector')),
};

const eventPrinter: Printer = {
  columns: [
    column('Last Seen'),
    column('Type'),
    column('Reason'),
    column('Object'),
    column('Subobject', 1),
    column('Source', 1),
    column('Message'),
    column('First Seen', 1),
    column('Count', 1),
    column('Name', 1),
  ],
  cells: (object, nowMs) => {
    const involved = objectAt(object, 'involvedObject');
    const first = stringAt(object, 'firstTimestamp') ?? stringAt(object, 'eventTime') ?? object.metadata.creationTimestamp;
    const last = stringAt(object, 'series', 'lastObservedTime') ?? stringAt(object, 'lastTimestamp') ?? first;
    const source = [
      stringAt(object, 'source', 'component') ?? stringAt(object, 'reportingComponent') ?? '',
      stringAt(object, 'source', 'host') ?? '',
    ];
    return [
      age(last, nowMs),
      stringAt(object, 'type') ?? '',
      stringAt(object, 'reason') ?? '',
      `${(stringAt(involved, 'kind') ?? '').toLowerCase()}/${stringAt(involved, 'name') ?? ''}`,
      stringAt(involved, 'fieldPath') ?? '',
      source.filter((part) => part !== '').join(', '),
      (stringAt(object, 'message') ?? '').trim(),
      age(first, nowMs),
      numberAt(object, 'series', 'count') ?? numberAt(object, 'count') ?? 1,
      object.metadata.name,
    ];
  },
};

/** By storage key. What is absent prints NAME and AGE. */
export const PRINTERS: { readonly [storage: string]: Printer } = {
  pods: { columns: POD_COLUMNS, cells: podCells },
  events: eventPrinter,
  namespaces: printer({ Status: phase }),
  nodes: printer(
    {
      Status: nodeStatus,
      Roles: (object) =>
        list(
          Object.keys(object.metadata.labels ?? {}).flatMap((label) =>
            label.startsWith('node-role.kubernetes.io/') ? [label.slice(24)] : [],
          ),
        ),
    },
    {
      'Internal-IP': (object) =>
        none(
          stringAt(
            arrayAt(object, 'status', 'addresses').find((address) => stringAt(address, 'type') === 'InternalIP'),
            'address',
          ),
        ),
      'External-IP': () => '<none>',
      'OS-Image': (object) => none(stringAt(object, 'status', 'nodeInfo', 'osImage')),
      'Kernel-Version': (object) => none(stringAt(object, 'status', 'nodeInfo', 'kernelVersion')),
      'Container-Runtime': (object) => none(stringAt(object, 'status', 'nodeInfo', 'containerRuntimeVersion')),
    },
  ),
  services: printer(
    {
      Type: (object) => stringAt(object, 'spec', 'type') ?? 'ClusterIP',
      'Cluster-IP': (object) => none(stringAt(object, 'spec', 'clusterIP')),
      'External-IP': (object) =>
        stringAt(object, 'spec', 'type') === 'ExternalName' ? none(stringAt(object, 'spec', 'externalName')) : '<none>',
      'Port(s)': servicePorts,
    },
    { Selector: (object) => pairs(objectAt(object, 'spec', 'selector')) },
  ),
  endpoints: printer({ Endpoints: endpointAddresses }),
  'discovery.k8s.io/endpointslices': printer({
    AddressType: (object) => stringAt(object, 'addressType') ?? '',
    Ports: (object) => someOf(arrayAt(object, 'ports').map((port) => String(numberAt(port, 'port')))),
    Endpoints: (object) => someOf(arrayAt(object, 'endpoints').flatMap((endpoint) => arrayAt(endpoint, 'addresses').map(String))),
  }),
  configmaps: printer({
    Data: (object) => Object.keys(objectAt(object, 'data')).length + Object.keys(objectAt(object, 'binaryData')).length,
  }),
  secrets: printer({ Type: (object) => stringAt(object, 'type') ?? '', Data: (object) => Object.keys(objectAt(object, 'data')).length }),
  serviceaccounts: printer({ Secrets: (object) => arrayAt(object, 'secrets').length }),
  persistentvolumeclaims: printer(
    {
      Status: phase,
      Volume: (object) => stringAt(object, 'spec', 'volumeName') ?? '',
      Capacity: (object) => String(objectAt(object, 'status', 'capacity')['storage'] ?? ''),
      'Access Modes': (object) => modes(objectAt(object, 'status')['accessModes']),
      StorageClass: (object) => stringAt(object, 'spec', 'storageClassName') ?? '',
      VolumeAttributesClass: () => '<unset>',
    },
    { VolumeMode: (object) => stringAt(object, 'spec', 'volumeMode') ?? 'Filesystem' },
  ),
  persistentvolumes: printer(
    {
      Capacity: (object) => String(objectAt(object, 'spec', 'capacity')['storage'] ?? ''),
      'Access Modes': (object) => modes(objectAt(object, 'spec')['accessModes']),
      'Reclaim Policy': (object) => stringAt(object, 'spec', 'persistentVolumeReclaimPolicy') ?? '',
      Status: phase,
      Claim: (object) => {
        const claim = objectAt(object, 'spec', 'claimRef');
        return claim['name'] === undefined ? '' : `${String(claim['namespace'])}/${String(claim['name'])}`;
      },
      StorageClass: (object) => stringAt(object, 'spec', 'storageClassName') ?? '',
      VolumeAttributesClass: () => '<unset>',
      Reason: () => '',
    },
    { VolumeMode: (object) => stringAt(object, 'spec', 'volumeMode') ?? 'Filesystem' },
  ),
  'coordination.k8s.io/leases': printer({ Holder: (object) => stringAt(object, 'spec', 'holderIdentity') ?? '' }),
  'apps/deployments': printer(
    {
      Ready: (object) => `${numberAt(object, 'status', 'readyReplicas') ?? 0}/${numberAt(object, 'spec', 'replicas') ?? 0}`,
      'Up-to-date': (object) => numberAt(object, 'status', 'updatedReplicas') ?? 0,
      Available: (object) => numberAt(object, 'status', 'availableReplicas') ?? 0,
    },
    templateCells,
  ),
  'apps/replicasets': printer(
    {
      Desired: (object) => numberAt(object, 'spec', 'replicas') ?? 0,
      Current: (object) => numberAt(object, 'status', 'replicas') ?? 0,
      Ready: (object) => numberAt(object, 'status', 'readyReplicas') ?? 0,
    },
    templateCells,
  ),
  'policy/poddisruptionbudgets': printer({
    'Min Available': (object) => String(objectAt(object, 'spec')['minAvailable'] ?? 'N/A'),
    'Max Unavailable': (object) => String(objectAt(object, 'spec')['maxUnavailable'] ?? 'N/A'),
    'Allowed Disruptions': (object) => numberAt(object, 'status', 'disruptionsAllowed') ?? 0,
  }),
  'storage.k8s.io/storageclasses': {
    columns: [
      column('Name'),
      column('Provisioner'),
      column('ReclaimPolicy'),
      column('VolumeBindingMode'),
      column('AllowVolumeExpansion'),
      column('Age'),
    ],
    cells: (object, nowMs) => [
      object.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true'
        ? `${object.metadata.name} (default)`
        : object.metadata.name,
      stringAt(object, 'provisioner') ?? '',
      stringAt(object, 'reclaimPolicy') ?? 'Delete',
      stringAt(object, 'volumeBindingMode') ?? 'Immediate',
      object['allowVolumeExpansion'] === true,
      created(object, nowMs),
    ],
  },
  'rbac.authorization.k8s.io/roles': createdAt,
  'rbac.authorization.k8s.io/clusterroles': createdAt,
  'rbac.authorization.k8s.io/rolebindings': roleBinding,
  'rbac.authorization.k8s.io/clusterrolebindings': roleBinding,
  'apiextensions.k8s.io/customresourcedefinitions': createdAt,
};

export const PLAIN_PRINTER: Printer = printer({});

/** The printer that a CRD's additionalPrinterColumns describe; without any, NAME and AGE. */
export function customPrinter(columns: Json | undefined): Printer {
  if (!Array.isArray(columns) || columns.length === 0) return PLAIN_PRINTER;
  const read = columns.filter(isObject);
  return {
    columns: [
      column('Name'),
      ...read.map((one) => ({
        name: String(one['name']),
        type: String(one['type']),
        priority: typeof one['priority'] === 'number' ? one['priority'] : 0,
        ...(typeof one['format'] === 'string' ? { format: one['format'] } : {}),
        ...(typeof one['description'] === 'string' ? { description: one['description'] } : {}),
      })),
    ],
    cells: (object, nowMs) => [object.metadata.name, ...read.map((one) => customCell(object, one, nowMs))],
  };
}

function customCell(object: KubeObject, definition: JsonObject, nowMs: number): Json {
  const found = jsonPath(object, String(definition['jsonPath']));
  const first = found[0];
  if (first === undefined) return null;
  switch (definition['type']) {
    case 'date':
      return age(String(first), nowMs);
    case 'integer':
    case 'number':
    case 'boolean':
      return typeof first === 'object' ? JSON.stringify(first) : first;
    default:
      return found.map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value))).join(',');
  }
}
