import { describe, expect, test } from 'vitest';
import type { OpenSchema } from '../../local-kube/src/schema/open-schema.ts';
import { applyDefaults, validateCustom } from '../../local-kube/src/schema/validate.ts';
import type { Json } from '../../local-kube/src/store/object.ts';
import { withDefaults } from '../../operator/src/api/defaults.ts';
import { clusterSchema } from '../../operator/src/api/schema.ts';
import type { AuroraCluster } from '../../operator/src/api/types.ts';
import { validateCluster } from '../../operator/src/api/validate.ts';

/**
 * What is refused before it is stored, by the schema and its rules, and what the operator refuses, which may meet objects of an older
 * schema: the same manifests, and at the same field.
 */
type Spec = { readonly [key: string]: Json };
const schema = structuredClone(clusterSchema) as unknown as OpenSchema;
const manifest = ({ storage, ...spec }: Spec, status?: Json): Json => ({
  apiVersion: 'kube-aurora.dev/v1alpha1',
  kind: 'AuroraCluster',
  metadata: { name: 'demo', namespace: 'default', uid: 'u' },
  spec: { storage: { size: '10Gi', ...(storage as Spec | undefined) }, ...spec },
  ...(status === undefined ? {} : { status }),
});
const bySchema = (spec: Spec, old?: Json, status?: Json): readonly string[] =>
  validateCustom(applyDefaults(manifest(spec, status), schema), schema, old === undefined ? undefined : applyDefaults(old, schema)).map(
    ({ field }) => field ?? '',
  );
const byOperator = (spec: Spec): readonly string[] => {
  const cluster = structuredClone(manifest(spec)) as unknown as AuroraCluster;
  return validateCluster({ ...cluster, spec: withDefaults(cluster.spec) })
    .filter(({ fatal }) => fatal)
    .map(({ field }) => field);
};
/** One may name a field where the other names the object that it is in. */
const isSamePlace = (one: string, other: string): boolean => one.startsWith(other) || other.startsWith(one);

const zone = 'topology.kubernetes.io/zone';
const terms = (...nodeSelectorTerms: Json[]): Json => ({
  nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
});
const required = 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
const spread = (topologyKey: string): Json => [{ maxSkew: 1, topologyKey, whenUnsatisfiable: 'ScheduleAnyway' }];
const target = { connections: 10 };
const secret = { name: 'kek', key: 'key' };
const kms = { image: 'kms:1', args: ['--listen=$(KMS_SOCKET)'] };

describe('both refuse', () => {
  const cases: readonly (readonly [string, Spec])[] = [
    ['spec.postgresVersion', { postgresVersion: '17' }],
    ['spec.instances', { instances: 0 }],
    ['spec.instances', { instances: 17 }],
    ['spec.readers.maxLag', { readers: { maxLag: '1d' } }],
    ['spec.readers.drainTimeout', { readers: { drainTimeout: 'soon' } }],
    ['spec.readers.drainTimeout', { readers: { drainTimeout: '2h' } }],
    ['spec.autoscaling.minInstances', { autoscaling: { minInstances: 1, maxInstances: 4, target } }],
    ['spec.autoscaling.maxInstances', { autoscaling: { maxInstances: 17, target } }],
    ['spec.autoscaling', { autoscaling: { minInstances: 5, maxInstances: 4, target } }],
    ['spec', { instances: 5, autoscaling: { maxInstances: 4, target } }],
    ['spec.autoscaling.target', { autoscaling: { maxInstances: 4, target: {} } }],
    ['spec.autoscaling.target.connections', { autoscaling: { maxInstances: 4, target: { connections: 0 } } }],
    ['spec.autoscaling.target.cpuUtilization', { autoscaling: { maxInstances: 4, target: { cpuUtilization: 101 } } }],
    ['spec.autoscaling.scaleOutCooldown', { autoscaling: { maxInstances: 4, target, scaleOutCooldown: '25h' } }],
    ['spec.failover.after', { failover: { after: '999ms' } }],
    ['spec.failover.after', { failover: { after: '61s' } }],
    ['spec.failover.switchoverDrain', { failover: { switchoverDrain: '11s' } }],
    ['spec.failover.warmCache.pagesPerSecond', { failover: { warmCache: { pagesPerSecond: 0 } } }],
    ['spec.instanceOverrides[0].instance', { instanceOverrides: [{ instance: 17 }] }],
    ['spec.instanceOverrides[1]', { instanceOverrides: [{ instance: 2 }, { instance: 2 }] }],
    ['spec.instanceOverrides[0].promotionTier', { instanceOverrides: [{ instance: 2, promotionTier: 16 }] }],
    ['spec.endpoints[0].name', { endpoints: [{ name: 'rw' }] }],
    ['spec.endpoints[1]', { endpoints: [{ name: 'a' }, { name: 'a' }] }],
    ['spec.endpoints[0]', { endpoints: [{ name: 'a', instances: [1], excludedInstances: [2] }] }],
    ['spec.storage.size', { storage: { size: '10GB' } }],
    ['spec.storage.size', { storage: { size: '255Mi' } }],
    ['spec.storage.size', { storage: { size: '65Ti' } }],
    ['spec.storage.zones', { storage: { zones: ['a', 'b'] } }],
    ['spec.storage.zones', { storage: { zones: ['a', 'b', 'a'] } }],
    ['spec.storage.encryption.key', { storage: { encryption: { key: {} } } }],
    ['spec.storage.encryption.key', { storage: { encryption: { key: { secret, kms } } } }],
    ['spec.storage.encryption.before', { storage: { encryption: { key: { kms }, before: {} } } }],
    ['spec.storage.standInAfterSeconds', { storage: { standInAfterSeconds: -1 } }],
    ['spec.storage.resources.limits.cpu', { storage: { resources: { limits: { cpu: 'lots' } } } }],
    ['spec.storage.resources.limits', { storage: { resources: { limits: { cpuu: '1' } } } }],
    ['spec.storage.resources', { storage: { resources: { requests: { cpu: 2 }, limits: { cpu: 1 } } } }],
    ['spec.storage.resources', { storage: { resources: { limits: { memory: '128Mi' } } } }],
    ['spec.compute.resources.requests.memory', { compute: { resources: { requests: { memory: '-1Gi' } } } }],
    ['spec.compute.cacheSize', { compute: { cacheSize: '63Mi' } }],
    ['spec.compute', { compute: { cacheSize: '20Gi', resources: { limits: { 'ephemeral-storage': '20Gi' } } } }],
    ['spec.compute.cacheVolume.size', { compute: { cacheVolume: { size: '1Gi' } } }],
    ['spec.compute', { compute: { cacheSize: '20Gi', cacheVolume: { size: '20Gi' } } }],
    ['spec.bootstrap.initdb.database', { bootstrap: { initdb: { database: 'template1' } } }],
    ['spec.bootstrap.initdb.owner', { bootstrap: { initdb: { owner: 'postgres' } } }],
    ['spec.bootstrap.initdb.owner', { bootstrap: { initdb: { owner: 'pg_mine' } } }],
    ...['storage', 'compute'].flatMap((part): (readonly [string, Spec])[] => [
      [`spec.${part}.nodeSelector`, { [part]: { nodeSelector: { [zone]: 'zone-a' } } }],
      [`spec.${part}.nodeSelector.disk`, { [part]: { nodeSelector: { disk: 'fast!' } } }],
      [`spec.${part}.tolerations[0]`, { [part]: { tolerations: [{ value: 'x' }] } }],
      [`spec.${part}.tolerations[0]`, { [part]: { tolerations: [{ key: 'a', operator: 'Exists', value: 'x' }] } }],
      [`spec.${part}.topologySpreadConstraints[0].topologyKey`, { [part]: { topologySpreadConstraints: spread(zone) } }],
      [`spec.${part}.${required}`, { [part]: { affinity: terms() } }],
      [`spec.${part}.${required}[0]`, { [part]: { affinity: terms({}) } }],
      [`spec.${part}.${required}[0]`, { [part]: { affinity: terms({ matchExpressions: [{ key: zone, operator: 'Exists' }] }) } }],
      [`spec.${part}.${required}[0]`, { [part]: { affinity: terms({ matchExpressions: [{ key: 'a', operator: 'In' }] }) } }],
      [`spec.${part}.${required}[0]`, { [part]: { affinity: terms({ matchFields: [{ key: 'a', operator: 'Gt', values: ['1', '2'] }] }) } }],
    ]),
    ['spec.postgresql.logins[0].role', { postgresql: { logins: [{ serviceAccount: 'a', role: '' }] } }],
    ['spec.postgresql.logins[0].role', { postgresql: { logins: [{ serviceAccount: 'a', role: 'r'.repeat(64) }] } }],
    ['spec.inheritedMetadata.labels', { inheritedMetadata: { labels: { 'kube-aurora.dev/role': 'writer' } } }],
    ['spec.inheritedMetadata.annotations', { inheritedMetadata: { annotations: { 'app.kubernetes.io/name': 'x' } } }],
    ['spec.inheritedMetadata.labels.team', { inheritedMetadata: { labels: { team: 'my shop' } } }],
    ['spec.services.readWrite.labels', { services: { readWrite: { labels: { 'endpoint.kube-aurora.dev/x': 'true' } } } }],
    ['spec.services.readOnly', { services: { readOnly: { loadBalancerClass: 'nlb' } } }],
  ];
  test.each(cases)('%s in %j', (field, spec) => {
    const [schemas, operators] = [bySchema(spec), byOperator(spec)];
    expect(schemas.filter((one) => one !== '<nil>' && !isSamePlace(one, field))).toEqual([]);
    expect(operators.filter((one) => !isSamePlace(one, field))).toEqual([]);
    expect([schemas.length > 0, operators.length > 0]).toEqual([true, true]);
  });
});

/** An API server bounds what a rule may cost by the longest that names and lists can be: these it would not take. */
test.each([
  ['names of labels, which have no bound there', { inheritedMetadata: { labels: { 'a/b/c': 'x' } } }],
  ['names that we may have some day', { inheritedMetadata: { labels: { 'other.kube-aurora.dev/x': 'x' } } }],
  [
    'resources that are compared by name',
    { compute: { resources: { requests: { 'example.com/gpu': 2 }, limits: { 'example.com/gpu': 1 } } } },
  ],
  ['a login that is there twice', { postgresql: { logins: ['x', 'x'].map((role) => ({ serviceAccount: 'a', namespace: 'b', role })) } }],
  ['resources in a list', { instanceOverrides: [{ instance: 2, resources: { requests: { cpu: 2 }, limits: { cpu: 1 } } }] }],
] satisfies readonly (readonly [string, Spec])[])('the operator alone refuses %s', (_what, spec) => {
  expect(bySchema(spec)).toEqual([]);
  expect(byOperator(spec)).not.toEqual([]);
});

test('both take a manifest with everything', () => {
  const placement: Spec = {
    nodeSelector: { disk: 'nvme' },
    tolerations: [{ operator: 'Exists' }, { key: 'db', value: 'yes', effect: 'NoSchedule' }],
    affinity: terms(
      { matchExpressions: [{ key: 'cpus', operator: 'Gt', values: ['8'] }] },
      { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }] },
    ),
    topologySpreadConstraints: spread('rack'),
    priorityClassName: 'high',
  };
  const spec: Spec = {
    deletionProtection: false,
    storage: { ...placement, encryption: { key: { kms }, before: { secret } } },
    compute: {
      ...placement,
      cacheSize: '30Gi',
      cacheVolume: { size: '40Gi', storageClassName: 'encrypted' },
      resources: { limits: { 'ephemeral-storage': '20Gi' } },
    },
    imagePullPolicy: 'Always',
    imagePullSecrets: [{ name: 'registry' }],
    inheritedMetadata: { labels: { team: 'shop' }, annotations: { 'example.com/x': 'any thing' } },
    services: { readWrite: { type: 'LoadBalancer', loadBalancerClass: 'nlb', annotations: { a: 'b' } } },
  };
  expect([bySchema(spec), byOperator(spec)]).toEqual([[], []]);
});

test('what a database was made with stays once there is one; statements and Secrets may change', () => {
  const initdb = (values: Spec): Spec => ({ bootstrap: { initdb: values } });
  const with_ = { owner: 'shop', encoding: 'UTF8', postInitSQL: ['select 1'], secret: { name: 'a' } };
  const holds = (initialized: boolean): Json => ({ storage: { summary: '6/6', ready: 6, desired: 6, initialized, segments: [] } });
  const change = (values: Spec, initialized: boolean): readonly string[] =>
    bySchema(initdb(values), manifest(initdb(with_), holds(initialized)), holds(initialized));
  for (const values of [{ ...with_, owner: 'other' }, { ...with_, database: 'other' }, { owner: 'shop' }, { ...with_, locale: 'de_DE' }]) {
    expect(change(values, true)).toHaveLength(1);
    expect(change(values, false)).toEqual([]);
  }
  expect(change({ owner: 'shop', encoding: 'UTF8', secret: { name: 'b' } }, true)).toEqual([]);
});
