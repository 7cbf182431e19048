import { expect, test } from 'vitest';
import { makeCluster } from '../testing/fixtures.ts';
import type { withDefaults } from './defaults.ts';
import { clusterLabels, LABEL } from './names.ts';
import { clusterSchema } from './schema.ts';
import { validateCluster } from './validate.ts';

const of = ({ storage, ...spec }: NonNullable<Parameters<typeof withDefaults>[0]>): readonly string[] =>
  validateCluster(makeCluster({ spec: { storage: { size: '1Gi', ...storage }, ...spec } })).map(
    ({ field, message }) => `${field} ${message}`,
  );
const terms = (...nodeSelectorTerms: NonNullable<object>[]) => ({
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
});
const required = 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
const zones =
  'names zones, which are kept by the operator; name them in spec.storage.zones, and leave topology.kubernetes.io/zone out here';

test('where pods run: nothing that unsettles zones, and what an API server would refuse in a pod', () => {
  const zone = 'topology.kubernetes.io/zone';
  expect(
    of({
      storage: { nodeSelector: { 'example.com/disk': 'nvme', empty: '' }, tolerations: [{ operator: 'Exists' }, { key: 'a', value: 'b' }] },
      compute: terms({ matchExpressions: [{ key: 'disk', operator: 'Exists' }] }) as object,
    }),
  ).toEqual([]);
  expect(of({ storage: { nodeSelector: { [zone]: 'zone-a' } } })).toEqual([`spec.storage.nodeSelector ${zones}`]);
  expect(of({ compute: terms({ matchExpressions: [{ key: zone, operator: 'In', values: ['zone-a'] }] }) as object })).toEqual([
    `spec.compute.${required}[0] ${zones}`,
  ]);
  expect(of({ compute: { topologySpreadConstraints: [{ topologyKey: zone }] } })).toEqual([
    `spec.compute.topologySpreadConstraints[0].topologyKey ${zones}`,
  ]);
  expect(of({ compute: { nodeSelector: { 'a b': 'x', disk: 'fast!' } } })).toEqual([
    "spec.compute.nodeSelector 'a b' is no name of a label; use for example disk, or example.com/disk",
    "spec.compute.nodeSelector.disk 'fast!' is no value of a label; use at most 63 letters, digits, '-', '_' and '.'",
  ]);
  expect(of({ storage: { tolerations: [{ value: 'x' }, { key: 'a', operator: 'Exists', value: 'x' }] } })).toEqual([
    'spec.storage.tolerations[0].operator must be Exists where there is no key; name the key, or use Exists',
    "spec.storage.tolerations[1].value 'x' has no meaning with operator Exists; leave it out",
  ]);
  expect(of({ storage: terms() as object })).toEqual([
    `spec.storage.${required} is empty, and no node would do; name a term, or leave it out`,
  ]);
  const operators = terms(
    {},
    { matchExpressions: [{ key: 'a', operator: 'In' }] },
    { matchFields: [{ key: 'b', operator: 'Exists', values: ['x'] }] },
  );
  expect(of({ storage: operators as object })).toEqual([
    `spec.storage.${required}[0] is empty, and no node would do for it; give it an expression, or leave it out`,
    `spec.storage.${required}[1] a: In takes at least one value`,
    `spec.storage.${required}[2] b: Exists takes no values`,
  ]);
});

test('labels and annotations: never ours, and only what Kubernetes takes', () => {
  expect(of({ inheritedMetadata: { labels: { team: 'shop', 'example.com/x': '' }, annotations: { 'a.b/c': 'any text!' } } })).toEqual([]);
  for (const key of [
    ...Object.keys(clusterLabels('demo', 'storage')),
    ...Object.values(LABEL),
    'endpoint.kube-aurora.dev/reports',
    'kube-aurora.dev/new',
  ])
    expect(of({ inheritedMetadata: { labels: { [key]: 'x' }, annotations: { [key]: 'x' } } })).toEqual(
      ['labels', 'annotations'].map(
        (kind) => `spec.inheritedMetadata.${kind}.${key} is the operator's own, which finds objects by it; choose another name`,
      ),
    );
  expect(of({ inheritedMetadata: { labels: { 'a/b/c': 'x', team: 'my shop' } } })).toEqual([
    "spec.inheritedMetadata.labels 'a/b/c' is no name that Kubernetes takes; use for example team, or example.com/team",
    "spec.inheritedMetadata.labels.team 'my shop' is no value of a label; use at most 63 letters, digits, '-', '_' and '.', or an annotation",
  ]);
  expect(of({ services: { readWrite: { annotations: { [LABEL.role]: 'x' }, loadBalancerClass: 'nlb' } } })).toEqual([
    `spec.services.readWrite.annotations.${LABEL.role} is the operator's own, which finds objects by it; choose another name`,
    'spec.services.readWrite.loadBalancerClass needs type: LoadBalancer; set it, or leave the class out',
  ]);
});

test('the rule of the schema names the same labels', () => {
  const [rule] =
    clusterSchema.properties?.['spec']?.properties?.['inheritedMetadata']?.properties?.['labels']?.['x-kubernetes-validations'] ?? [];
  for (const key of Object.keys(clusterLabels('demo', 'storage')).filter((label) => !label.startsWith('kube-aurora.dev/')))
    expect(rule?.rule).toContain(`'${key}'`);
});
