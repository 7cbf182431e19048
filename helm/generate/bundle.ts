/**
 * The bundle for the Operator Lifecycle Manager, and so for OperatorHub and ArtifactHub: made of what the chart renders, so that both install the
 * same operator with the same rights.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { CHART, find, render, type Manifest } from './chart.ts';

const ROOT = path.resolve(CHART, '../..');
export const BUNDLE = path.join(ROOT, 'deploy/bundle');

const PACKAGE = 'kube-aurora';
const OPERATOR = 'kube-aurora-operator';
const CHANNEL = 'alpha';
const HEADER = '# Made from helm/kube-aurora by `npm run deploy:generate`; a test keeps the two the same.\n';

export interface BundleImages {
  /** `registry.example.com/team/kube-aurora`; the chart's own default when absent. */
  readonly registry?: string;
  readonly repository?: string;
  /** By the chart's names of them (`operator`, `storageDaemon`, `computeNode`); without them images are named by their tag. */
  readonly digests?: Readonly<Record<string, string>>;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Role extends Manifest {
  readonly rules: readonly Rule[];
}

interface EnvironmentEntry {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: object;
}

interface Deployment extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly [{ readonly image: string; readonly env: readonly EnvironmentEntry[] }];
      };
    };
  };
}

interface Chart {
  readonly version: string;
  readonly kubeVersion: string;
  readonly description: string;
  readonly keywords: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}

const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** Every file of the bundle, by its place in it. */
export function bundleFiles(images: BundleImages = {}): ReadonlyMap<string, string> {
  const chart = parse(text('helm/kube-aurora/Chart.yaml')) as Chart;
  const objects = rendered(images);
  // Nothing of a bundle says its namespace, nor that it is Helm's.
  const plain = (kind: string): string => HEADER + stringify(installable(find(objects, kind, OPERATOR)), { lineWidth: 0 });
  return new Map([
    [`manifests/${PACKAGE}.clusterserviceversion.yaml`, HEADER + stringify(serviceVersion(chart, objects), { lineWidth: 0 })],
    ['manifests/kube-aurora.dev_auroraclusters.yaml', text('helm/kube-aurora/files/crd.yaml')],
    [`manifests/${OPERATOR}.service.yaml`, plain('Service')],
    [`manifests/${OPERATOR}.poddisruptionbudget.yaml`, plain('PodDisruptionBudget')],
    ['metadata/annotations.yaml', HEADER + stringify({ annotations: BUNDLE_ANNOTATIONS })],
    ['tests/scorecard/config.yaml', HEADER + stringify(SCORECARD)],
    ['bundle.Dockerfile', dockerfile()],
  ]);
}

/** In cluster mode, and without the policy that a bundle cannot hold: then the operator keeps who is protected by its finalizer. */
function rendered({ registry, repository, digests }: BundleImages): readonly Manifest[] {
  const images = {
    ...(registry === undefined ? {} : { registry }),
    ...(repository === undefined ? {} : { repository }),
    ...(digests === undefined ? {} : { digests }),
  };
  return render({ values: { images, deletionProtection: { policy: false } } });
}

const HELM_LABELS = new Set(['app.kubernetes.io/managed-by', 'helm.sh/chart']);

function ownLabels(labels: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([label]) => !HELM_LABELS.has(label)));
}

function installable<T extends Manifest>(object: T): object {
  const { name, labels } = object.metadata;
  return { ...object, metadata: { name, labels: ownLabels(labels) } };
}

/** OLM tells the operator its namespaces by an annotation of the pod: none is all of them. */
const WATCHED = { fieldRef: { fieldPath: "metadata.annotations['olm.targetNamespaces']" } };

export function operatorDeployment(objects: readonly Manifest[]): { readonly name: string; readonly label: object; readonly spec: object } {
  const { metadata, spec } = find<Deployment>(objects, 'Deployment', OPERATOR);
  // What the chart's labels say of Helm is said of nobody here.
  const copy = JSON.parse(
    JSON.stringify(spec, (key, value: unknown) => (key === 'labels' && isLabels(value) ? ownLabels(value) : value)),
  ) as Deployment['spec'];
  const { template } = copy;
  const [container] = template.spec.containers;
  const env = container.env.map((entry) => (entry.name === 'WATCH_NAMESPACE' ? { name: entry.name, valueFrom: WATCHED } : entry));
  return {
    name: metadata.name,
    label: ownLabels(metadata.labels),
    spec: { ...copy, template: { ...template, spec: { ...template.spec, containers: [{ ...container, env }] } } },
  };
}

function isLabels(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null;
}

/**
 * OLM makes the ServiceAccounts that are named here. `permissions` hold in the operator's namespace and in those it works for, or everywhere where
 * that is all of them; `clusterPermissions` everywhere.
 */
export function permissions(objects: readonly Manifest[]): {
  readonly permissions: readonly object[];
  readonly clusterPermissions: readonly object[];
} {
  const role = (kind: 'Role' | 'ClusterRole', name: string): readonly Rule[] => find<Role>(objects, kind, name).rules;
  const inNamespaces = namespacedRules();
  const reviewer = 'kube-aurora-token-review';
  const isNamespaced = (rule: Rule): boolean => inNamespaces.has(JSON.stringify(rule));
  const operator = role('ClusterRole', OPERATOR);
  return {
    permissions: [
      {
        serviceAccountName: OPERATOR,
        rules: [...operator.filter(isNamespaced), ...role('Role', `${OPERATOR}-leader`), ...role('Role', reviewer)],
      },
    ],
    clusterPermissions: [
      { serviceAccountName: OPERATOR, rules: operator.filter((rule) => !isNamespaced(rule)) },
      { serviceAccountName: reviewer, rules: role('ClusterRole', reviewer) },
    ],
  };
}

/** As the chart has them of an operator for one namespace. */
function namespacedRules(): ReadonlySet<string> {
  const { rules } = find<Role>(render({ values: { watchNamespace: 'one' } }), 'Role', OPERATOR);
  return new Set(rules.map((rule) => JSON.stringify(rule)));
}

/** The AuroraClusters of deploy/samples, named by their files; first the smallest, which consoles offer. */
export function samples(): readonly Manifest[] {
  const folder = path.join(ROOT, 'deploy/samples');
  const first = 'demo.yaml';
  const files = [
    first,
    ...readdirSync(folder)
      .toSorted()
      .filter((file) => file !== first),
  ];
  return files.flatMap((file) => {
    const objects = parseAllDocuments(readFileSync(path.join(folder, file), 'utf8')).map((document) => document.toJS() as Manifest);
    const sample = objects.find(({ kind }) => kind === 'AuroraCluster');
    // Where it goes the console says.
    return sample === undefined ? [] : [{ ...sample, metadata: { name: path.basename(file, '.yaml') } }];
  });
}

function serviceVersion(chart: Chart, objects: readonly Manifest[]): object {
  const deployment = operatorDeployment(objects);
  const { image, env } = find<Deployment>(objects, 'Deployment', OPERATOR).spec.template.spec.containers[0];
  const setting = (name: string): string => env.find((entry) => entry.name === name)?.value ?? '';
  const ofChart = (name: string): string => chart.annotations[`artifacthub.io/${name}`] ?? '';
  return {
    apiVersion: 'operators.coreos.com/v1alpha1',
    kind: 'ClusterServiceVersion',
    metadata: {
      name: `${PACKAGE}.v${chart.version}`,
      namespace: 'placeholder',
      annotations: {
        'alm-examples': JSON.stringify(samples(), undefined, 2),
        capabilities: ofChart('operatorCapabilities'),
        categories: 'Database',
        containerImage: image,
        description: chart.description,
        support: 'The project itself, by its issues',
        'operatorframework.io/suggested-namespace': 'kube-aurora-system',
        'artifacthub.io/category': ofChart('category'),
        'artifacthub.io/license': ofChart('license'),
        'artifacthub.io/prerelease': ofChart('prerelease'),
      },
    },
    spec: {
      displayName: 'Kube Aurora',
      description: DESCRIPTION,
      version: chart.version,
      maturity: CHANNEL,
      minKubeVersion: /\d+\.\d+\.\d+/.exec(chart.kubeVersion)?.[0],
      keywords: chart.keywords,
      provider: { name: 'The kube-aurora project' },
      icon: [{ base64data: Buffer.from(text('console/src/page/icon.svg')).toString('base64'), mediatype: 'image/svg+xml' }],
      installModes: [
        { type: 'OwnNamespace', supported: true },
        { type: 'SingleNamespace', supported: true },
        { type: 'MultiNamespace', supported: false },
        { type: 'AllNamespaces', supported: true },
      ],
      customresourcedefinitions: { owned: [OWNED] },
      relatedImages: [
        { name: 'operator', image },
        { name: 'storage-daemon', image: setting('STORAGE_DAEMON_IMAGE') },
        { name: 'compute-node', image: setting('COMPUTE_NODE_IMAGE') },
      ],
      install: { strategy: 'deployment', spec: { ...permissions(objects), deployments: [deployment] } },
    },
  };
}

const DESCRIPTION = `An open Amazon Aurora that runs on your own Kubernetes: stock PostgreSQL 18 on a volume of six copies in three zones, to which
only redo is written. A commit returns when four of the six have it on disk; a zone and one disk more may be lost. Readers, up to fifteen, are hot
standbys on the same volume, and one takes a lost writer's place in seconds, without operator or API server.

One \`AuroraCluster\` makes all of it: six storage pods, a writer, readers, Services, Secrets and certificates.

### Before you begin

Kubernetes 1.29 or later, nodes with the label \`topology.kubernetes.io/zone\` in three zones, and a StorageClass. The operator works for the
namespaces of its OperatorGroup: one, or all.

### What the Helm chart has beside it

NetworkPolicies, the policy by which the API server refuses to delete a protected cluster (with the bundle the operator holds it by its finalizer), alerts,
dashboards and the console. A bundle cannot hold some of them, and does not know the namespaces of the others.

### Not there yet

Backup and point-in-time restore, clones, and more: the project's README lists it, with the known faults.
`;

const OWNED = {
  name: 'auroraclusters.kube-aurora.dev',
  kind: 'AuroraCluster',
  version: 'v1alpha1',
  displayName: 'Aurora cluster',
  description: 'A PostgreSQL with a writer, readers and a volume of six copies in three zones',
  resources: [
    { kind: 'Pod', version: 'v1' },
    { kind: 'Service', version: 'v1' },
    { kind: 'Secret', version: 'v1' },
    { kind: 'ConfigMap', version: 'v1' },
    { kind: 'PersistentVolumeClaim', version: 'v1' },
    { kind: 'PodDisruptionBudget', version: 'policy/v1' },
  ],
  specDescriptors: [
    {
      path: 'instances',
      displayName: 'Instances',
      description: 'The writer and its readers.',
      'x-descriptors': ['urn:alm:descriptor:com.tectonic.ui:podCount'],
    },
    { path: 'storage.size', displayName: 'Size', description: "Of each copy's volume; it can grow." },
    {
      path: 'storage.storageClassName',
      displayName: 'StorageClass',
      description: "Of the copies' volumes.",
      'x-descriptors': ['urn:alm:descriptor:io.kubernetes:StorageClass'],
    },
    {
      path: 'deletionProtection',
      displayName: 'Deletion protection',
      description: 'Whether the cluster cannot be deleted.',
      'x-descriptors': ['urn:alm:descriptor:com.tectonic.ui:booleanSwitch'],
    },
  ],
  statusDescriptors: [
    { path: 'phase', displayName: 'Phase', description: 'How it is.', 'x-descriptors': ['urn:alm:descriptor:io.kubernetes.phase'] },
    { path: 'message', displayName: 'Message', description: 'The same as a sentence.' },
    { path: 'endpoints.readWrite', displayName: 'Endpoint', description: 'Where the writer is.' },
    {
      path: 'secrets.app',
      displayName: 'Secret',
      description: "The application's login.",
      'x-descriptors': ['urn:alm:descriptor:io.kubernetes:Secret'],
    },
    {
      path: 'conditions',
      displayName: 'Conditions',
      description: 'What is wrong.',
      'x-descriptors': ['urn:alm:descriptor:io.kubernetes.conditions'],
    },
  ],
};

const BUNDLE_ANNOTATIONS = {
  'operators.operatorframework.io.bundle.mediatype.v1': 'registry+v1',
  'operators.operatorframework.io.bundle.manifests.v1': 'manifests/',
  'operators.operatorframework.io.bundle.metadata.v1': 'metadata/',
  'operators.operatorframework.io.bundle.package.v1': PACKAGE,
  'operators.operatorframework.io.bundle.channels.v1': CHANNEL,
  'operators.operatorframework.io.bundle.channel.default.v1': CHANNEL,
  'operators.operatorframework.io.test.mediatype.v1': 'scorecard+v1',
  'operators.operatorframework.io.test.config.v1': 'tests/scorecard/',
};

const SCORECARD_IMAGE = 'quay.io/operator-framework/scorecard-test:v1.42.0';
const scorecardTest = (suite: string, test: string): object => ({
  entrypoint: ['scorecard-test', test],
  image: SCORECARD_IMAGE,
  labels: { suite, test: `${test}-test` },
});
const SCORECARD = {
  apiVersion: 'scorecard.operatorframework.io/v1alpha3',
  kind: 'Configuration',
  metadata: { name: 'config' },
  stages: [
    {
      parallel: true,
      tests: [
        scorecardTest('basic', 'basic-check-spec'),
        ...[
          'olm-bundle-validation',
          'olm-crds-have-validation',
          'olm-crds-have-resources',
          'olm-spec-descriptors',
          'olm-status-descriptors',
        ].map((test) => scorecardTest('olm', test)),
      ],
    },
  ],
};

/** An image of the bundle, for whoever serves it in a catalog of their own. */
function dockerfile(): string {
  const labels = Object.entries(BUNDLE_ANNOTATIONS).map(([name, value]) => `LABEL ${name}=${value}`);
  return [
    HEADER.trimEnd(),
    'FROM scratch',
    ...labels,
    'COPY manifests /manifests/',
    'COPY metadata /metadata/',
    'COPY tests/scorecard /tests/scorecard/',
    '',
  ].join('\n');
}
