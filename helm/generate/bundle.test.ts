import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { BUNDLE, bundleFiles } from './bundle.ts';
import { find, render, type Manifest } from './chart.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}
interface Permissions {
  readonly serviceAccountName: string;
  readonly rules: readonly Rule[];
}
interface Container {
  readonly image: string;
  readonly env: readonly { readonly name: string; readonly value?: string }[];
}
interface PodTemplate {
  readonly metadata: object;
  readonly spec: { readonly serviceAccountName: string; readonly containers: readonly [Container] };
}
interface ServiceVersion extends Manifest {
  readonly spec: {
    readonly version: string;
    readonly minKubeVersion: string;
    readonly icon: readonly { readonly base64data: string }[];
    readonly relatedImages: readonly { readonly name: string; readonly image: string }[];
    readonly customresourcedefinitions: {
      readonly owned: readonly {
        readonly name: string;
        readonly specDescriptors: readonly { readonly path: string }[];
        readonly statusDescriptors: readonly { readonly path: string }[];
      }[];
    };
    readonly install: {
      readonly spec: {
        readonly permissions: readonly Permissions[];
        readonly clusterPermissions: readonly Permissions[];
        readonly deployments: readonly {
          readonly name: string;
          readonly spec: { readonly replicas: number; readonly template: PodTemplate };
        }[];
      };
    };
  };
}

const files = bundleFiles();
const read = <T>(name: string, from = files): T => parse(from.get(name) ?? '') as T;
const CSV = 'manifests/kube-aurora.clusterserviceversion.yaml';
const csv = read<ServiceVersion>(CSV);
const { install } = csv.spec;
const chart = render({ values: { deletionProtection: { policy: false } } });

test('deploy/bundle is what the chart makes; npm run deploy:generate makes it so', () => {
  for (const [name, content] of files) expect(readFileSync(path.join(BUNDLE, name), 'utf8'), name).toBe(content);
});

test("its rights are the chart's, right by right, for the same accounts", () => {
  const inWords = (account: string, rules: readonly Rule[]): readonly string[] =>
    rules.flatMap(({ apiGroups, resources, resourceNames = [], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${account}: ${verb} ${group}/${resource} ${resourceNames.join(',')}`)),
      ),
    );
  const given = [...install.spec.permissions, ...install.spec.clusterPermissions].flatMap(({ serviceAccountName, rules }) =>
    inWords(serviceAccountName, rules),
  );
  type Binding = Manifest & {
    readonly roleRef: { readonly kind: string; readonly name: string };
    readonly subjects: readonly { name: string }[];
  };
  const bindings = chart.filter((object): object is Binding => object.kind.endsWith('Binding'));
  const wanted = bindings.flatMap(({ roleRef, subjects }) => {
    const { rules } = find<Manifest & { rules: readonly Rule[] }>(chart, roleRef.kind, roleRef.name);
    return subjects.flatMap(({ name }) => inWords(name, rules));
  });
  expect(given.toSorted()).toEqual(wanted.toSorted());
  // What reaches beyond the namespaces that it works for is what the chart gives an operator for one namespace as well.
  const narrow = render({ values: { watchNamespace: 'one' } }).filter(({ kind }) => kind === 'ClusterRole') as (Manifest & {
    rules: readonly Rule[];
  })[];
  const sorted = (of: readonly { readonly rules: readonly Rule[] }[]): readonly string[] =>
    of.flatMap(({ rules }) => rules.map((rule) => JSON.stringify(rule))).toSorted();
  expect(sorted(install.spec.clusterPermissions)).toEqual(sorted(narrow));
});

test("its Deployment is the chart's, but for the namespaces, which OLM names", () => {
  const { spec } = find<Manifest & { spec: { template: PodTemplate } }>(chart, 'Deployment', 'kube-aurora-operator');
  const [deployment] = install.spec.deployments;
  const withoutEnv = ({ containers: [{ env: _env, ...container }], ...rest }: PodTemplate['spec']): object => ({
    ...rest,
    containers: [container],
  });
  expect(withoutEnv(deployment?.spec.template.spec as PodTemplate['spec'])).toEqual(withoutEnv(spec.template.spec));
  const [theirs, ours] = [spec.template, deployment?.spec.template].map((template) => template?.spec.containers[0].env ?? []);
  expect(ours?.filter(({ name }) => name !== 'WATCH_NAMESPACE')).toEqual(theirs?.filter(({ name }) => name !== 'WATCH_NAMESPACE'));
  expect(ours?.find(({ name }) => name === 'WATCH_NAMESPACE')).toEqual({
    name: 'WATCH_NAMESPACE',
    valueFrom: { fieldRef: { fieldPath: "metadata.annotations['olm.targetNamespaces']" } },
  });
  expect(ours).toContainEqual({ name: 'DELETION_PROTECTION', value: 'finalizer' });
  expect(files.get(CSV)).not.toMatch(/helm\.sh|managed-by/);
});

test('what it says of the CustomResourceDefinition is there', () => {
  type Property = { readonly properties?: Readonly<Record<string, Property>> };
  const crd = read<{ metadata: { name: string }; spec: { versions: { name: string; schema: { openAPIV3Schema: Property } }[] } }>(
    'manifests/kube-aurora.dev_auroraclusters.yaml',
  );
  const [owned] = csv.spec.customresourcedefinitions.owned;
  expect(owned).toMatchObject({ name: crd.metadata.name, version: crd.spec.versions[0]?.name });
  const schema = crd.spec.versions[0]?.schema.openAPIV3Schema;
  const at = (part: string, place: string): Property | undefined =>
    place.split('.').reduce<Property | undefined>((property, key) => property?.properties?.[key], schema?.properties?.[part]);
  for (const descriptor of owned?.specDescriptors ?? []) expect(at('spec', descriptor.path), descriptor.path).toBeDefined();
  for (const descriptor of owned?.statusDescriptors ?? []) expect(at('status', descriptor.path), descriptor.path).toBeDefined();
  const examples = JSON.parse(csv.metadata.annotations?.['alm-examples'] ?? '') as readonly Manifest[];
  expect(examples[0]?.metadata).toEqual({ name: 'demo' });
  expect(examples.length).toBeGreaterThan(8);
  expect(new Set(examples.map(({ metadata }) => metadata.name)).size).toBe(examples.length);
  expect(new Set(examples.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`))).toEqual(
    new Set(['kube-aurora.dev/v1alpha1 AuroraCluster']),
  );
});

test("a release's images are named by their digests, all of them", () => {
  const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
  const pinned = bundleFiles({
    registry: 'registry.example.com',
    repository: 'team/kube-aurora',
    digests: { operator: digest('a'), storageDaemon: digest('b'), computeNode: digest('c') },
  });
  const release = read<ServiceVersion>(CSV, pinned);
  const images = release.spec.relatedImages.map(({ image }) => image);
  expect(images).toEqual([
    `registry.example.com/team/kube-aurora/operator@${digest('a')}`,
    `registry.example.com/team/kube-aurora/storage-daemon@${digest('b')}`,
    `registry.example.com/team/kube-aurora/compute-node@${digest('c')}`,
  ]);
  const container = release.spec.install.spec.deployments[0]?.spec.template.spec.containers[0];
  const named = [container?.image, ...(container?.env ?? []).filter(({ name }) => name.endsWith('_IMAGE')).map(({ value }) => value)];
  expect(new Set(named)).toEqual(new Set(images));
  expect(release.metadata.annotations?.['containerImage']).toBe(images[0]);
});

test('version, oldest Kubernetes, icon and annotations are as the catalogs want them', () => {
  const { version } = JSON.parse(readFileSync(path.resolve(BUNDLE, '../../package.json'), 'utf8')) as { version: string };
  expect(csv.metadata.name).toBe(`kube-aurora.v${version}`);
  expect(csv.spec).toMatchObject({ version, minKubeVersion: '1.29.0' });
  expect(Buffer.from(csv.spec.icon[0]?.base64data ?? '', 'base64').toString()).toMatch(/^<svg /);
  const { annotations } = read<{ annotations: Record<string, string> }>('metadata/annotations.yaml');
  expect(annotations['operators.operatorframework.io.bundle.channel.default.v1']).toBe(
    annotations['operators.operatorframework.io.bundle.channels.v1'],
  );
  for (const [name, value] of Object.entries(annotations)) expect(files.get('bundle.Dockerfile')).toContain(`LABEL ${name}=${value}\n`);
});
