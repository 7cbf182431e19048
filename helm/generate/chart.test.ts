import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { LABEL, PORT } from '../../operator/src/api/names.ts';
import type { Pod } from '../../operator/src/kube/objects.ts';
import { computePod } from '../../operator/src/specs/compute-pod.ts';
import { storagePod } from '../../operator/src/specs/storage-pod.ts';
import { makeCluster, segment, VOLUME } from '../../operator/src/testing/fixtures.ts';
import { configSchema } from '../../operator/src/config.ts';
import { find, helm, render, CHART, type Manifest } from './chart.ts';
import { admits, type Endpoint, type NetworkPolicy } from './fixture-network-policy.ts';

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly securityContext?: object;
    readonly automountServiceAccountToken?: boolean;
    readonly volumes?: readonly object[];
    readonly containers: readonly {
      readonly image: string;
      readonly securityContext?: object;
      readonly env?: readonly object[];
      readonly startupProbe?: { readonly periodSeconds: number; readonly failureThreshold: number };
      readonly livenessProbe?: object;
    }[];
  };
}
interface Deployment extends Manifest {
  readonly spec: { readonly replicas: number; readonly template: PodTemplate };
}

const cluster = makeCluster();
const storage = storagePod(cluster, segment(0), 'zone-a', 's:1');
const compute = computePod(cluster, {
  ordinal: 1,
  role: 'writer',
  volumeId: VOLUME,
  zone: 'zone-a',
  image: 'c:1',
  servesReads: false,
  mountedVersions: '',
});
const all = render({ hooks: true });
const operator = find<Deployment>(all, 'Deployment', 'kube-aurora-operator').spec.template;

describe('the restricted Pod Security Standard', () => {
  const helmTest = find<Manifest & PodTemplate>(all, 'Pod', 'kube-aurora-operator-test');
  test.each([
    ['operator', operator.spec],
    ['helm test', helmTest.spec],
    ['storage', storage.spec as PodTemplate['spec']],
    ['compute', compute.spec as PodTemplate['spec']],
  ] as const)('lets %s in', (_name, spec) => {
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    for (const { securityContext } of spec.containers)
      expect(securityContext).toMatchObject({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } });
    const kinds = (spec.volumes ?? []).flatMap((volume) => Object.keys(volume)).filter((key) => key !== 'name');
    expect(kinds.filter((kind) => !['configMap', 'emptyDir', 'persistentVolumeClaim', 'projected', 'secret'].includes(kind))).toEqual([]);
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) expect(spec).not.toHaveProperty(field);
  });

  test('only the operator has a token', () => {
    expect(operator.spec.automountServiceAccountToken).toBe(true);
    expect(find(all, 'ServiceAccount', 'kube-aurora-operator')).toMatchObject({ automountServiceAccountToken: false });
    for (const { spec } of [helmTest, storage, compute]) expect(spec).toMatchObject({ automountServiceAccountToken: false });
  });
});

test('an operator that is slow to start, on a node that is short of CPU, is not killed for that', () => {
  for (const { startupProbe, livenessProbe } of operator.spec.containers) {
    expect(livenessProbe).toBeDefined();
    expect((startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0)).toBeGreaterThanOrEqual(300);
  }
});

describe('network policies, for the pods that the operator makes', () => {
  const at = (pod: Pod): Endpoint => ({ namespace: pod.metadata.namespace ?? '', labels: pod.metadata.labels ?? {} });
  const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
    operator: { namespace: 'kube-aurora-system', labels: operator.metadata.labels },
    storage: at(storage),
    compute: at(compute),
    client: { namespace: 'shop', labels: { app: 'shop' } },
    prometheus: { namespace: 'monitoring', labels: { app: 'prometheus' } },
    'other storage': { namespace: 'elsewhere', labels: at(storage).labels },
  };
  const policiesOf = (networkPolicies: object): readonly NetworkPolicy[] =>
    render({ values: { networkPolicies } }).filter((object): object is NetworkPolicy => object.kind === 'NetworkPolicy');
  const byDefault = policiesOf({});
  const endpoint = (name: string): Endpoint => ENDPOINTS[name] ?? { namespace: '', labels: {} };

  test.each([
    ['client', 'compute', PORT.postgres],
    ['client', 'compute', PORT.writer],
    ['client', 'compute', PORT.token],
    ['client', 'compute', PORT.tokenWriter],
    ['compute', 'compute', PORT.postgres],
    ['operator', 'compute', PORT.agentStatus],
    ['operator', 'storage', PORT.storageStatus],
    ['compute', 'storage', PORT.storage],
    ['compute', 'storage', PORT.storageFrames],
    ['storage', 'storage', PORT.storage],
  ])('%s reaches %s at %i', (from, to, port) => expect(admits(byDefault, endpoint(from), endpoint(to), port)).toBe(true));

  test.each([
    // A POST there makes an instance the writer.
    ['client', 'compute', PORT.agentStatus],
    ['prometheus', 'storage', PORT.storageStatus],
    ['client', 'storage', PORT.storage],
    ['client', 'storage', PORT.storageFrames],
    ['operator', 'storage', PORT.storage],
    ['operator', 'compute', PORT.postgres],
    ['other storage', 'storage', PORT.storage],
    ['storage', 'compute', PORT.postgres],
    ['compute', 'client', 80],
    ['storage', 'client', 80],
    ['client', 'operator', 7000],
  ])('%s does not reach %s at %i', (from, to, port) => expect(admits(byDefault, endpoint(from), endpoint(to), port)).toBe(false));

  test('values let Prometheus in, keep other clients out, and let PostgreSQL out', () => {
    const peer = (name: string): object => ({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } });
    const policies = policiesOf({
      metricsFrom: [peer('monitoring')],
      clientsFrom: [peer('bank')],
      computeEgress: [{ to: [peer('shop')], ports: [{ port: 80, protocol: 'TCP' }] }],
      storageEgress: [{ to: [peer('shop')], ports: [{ port: 80, protocol: 'TCP' }] }],
    });
    const reaches = (from: string, to: string, port: number): boolean => admits(policies, endpoint(from), endpoint(to), port);
    expect([7000, 7003, 7002].map((port, at) => reaches('prometheus', ['operator', 'compute', 'storage'][at] ?? '', port))).toEqual([
      true,
      true,
      true,
    ]);
    for (const port of [PORT.postgres, PORT.writer]) expect(reaches('client', 'compute', port)).toBe(false);
    expect(reaches('compute', 'compute', PORT.postgres)).toBe(true);
    for (const from of ['compute', 'storage']) {
      expect(reaches(from, 'client', 80)).toBe(true);
      expect(reaches(from, 'client', 81)).toBe(false);
    }
  });

  test('a console that is there looks at programs and the API server, and reaches nothing else; others come to its port as values say', () => {
    const looker: Endpoint = {
      namespace: 'kube-aurora-system',
      labels: {
        'app.kubernetes.io/name': 'kube-aurora',
        'app.kubernetes.io/instance': 'kube-aurora',
        'app.kubernetes.io/component': 'console',
      },
    };
    const withConsole = (console: object): readonly NetworkPolicy[] =>
      render({ values: { console: { enabled: true, ...console } } }).filter(
        (object): object is NetworkPolicy => object.kind === 'NetworkPolicy',
      );
    const policies = withConsole({});
    expect(admits(policies, looker, endpoint('compute'), PORT.agentStatus)).toBe(true);
    expect(admits(policies, looker, endpoint('storage'), PORT.storageStatus)).toBe(true);
    for (const port of [PORT.postgres, PORT.writer]) expect(admits(policies, looker, endpoint('compute'), port)).toBe(false);
    expect(admits(policies, looker, endpoint('storage'), PORT.storage)).toBe(false);
    expect(admits(policies, endpoint('client'), looker, 7005)).toBe(true);
    const closed = withConsole({ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }] });
    expect([admits(closed, endpoint('client'), looker, 7005), admits(closed, endpoint('prometheus'), looker, 7005)]).toEqual([false, true]);
    // Without one nobody is let in for it.
    expect(admits(byDefault, looker, endpoint('compute'), PORT.agentStatus)).toBe(false);
  });

  test('every port of every pod is in the table of docs/install.md', () => {
    const page = readFileSync(new URL('../../docs/install.md', import.meta.url), 'utf8');
    const ports = [storage, compute].flatMap(({ spec }) => (spec.containers[0]?.ports ?? []).map(({ containerPort }) => containerPort));
    expect(new Set(ports)).toEqual(new Set(Object.values(PORT)));
    for (const port of [7000, ...ports]) expect(page, String(port)).toMatch(new RegExp(`^\\| ${port} +\\|`, 'm'));
  });

  test('a selector by labels that all clusters have', () => {
    for (const pod of [storage, compute]) expect(pod.metadata.labels).toMatchObject({ [LABEL.managedBy]: 'kube-aurora' });
  });
});

describe('values', () => {
  test.each([
    ['nothing of monitoring by default', {}, ['PodMonitor', 'PrometheusRule', 'ConfigMap'], 0],
    ['podMonitors', { monitoring: { podMonitors: { enabled: true } } }, ['PodMonitor'], 2],
    ['rules', { monitoring: { rules: { enabled: true } } }, ['PrometheusRule'], 1],
    ['dashboards', { monitoring: { dashboards: { enabled: true } } }, ['ConfigMap'], 1],
    ['rbac.create: false', { rbac: { create: false } }, ['ClusterRole', 'Role', 'ClusterRoleBinding', 'RoleBinding'], 0],
    ['no budget', { operator: { podDisruptionBudget: { enabled: false } } }, ['PodDisruptionBudget'], 0],
    ['no policies', { networkPolicies: { enabled: false } }, ['NetworkPolicy'], 0],
    ['a policy for two more', { networkPolicies: { clusterNamespaces: ['a', 'b'] } }, ['NetworkPolicy'], 5],
  ] as const)('%s', (_name, values, kinds, count) => {
    expect(render({ values }).filter(({ kind }) => (kinds as readonly string[]).includes(kind))).toHaveLength(count);
  });

  test('the CRD stays at an uninstall, and is left out when others bring it', () => {
    expect(all.filter(({ kind }) => kind === 'CustomResourceDefinition')).toEqual([]);
    expect(find(render({ crds: true }), 'CustomResourceDefinition', 'auroraclusters.kube-aurora.dev').metadata.annotations).toMatchObject({
      'helm.sh/resource-policy': 'keep',
    });
  });

  test('images: registry, tag and digest reach the operator and what it makes', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const values = { images: { registry: 'registry.example.com', repository: 'team/aurora', tag: 'v2', digests: { computeNode: digest } } };
    const [container] = find<Deployment>(render({ values }), 'Deployment', 'kube-aurora-operator').spec.template.spec.containers;
    expect(container?.image).toBe('registry.example.com/team/aurora/operator:v2');
    expect(container?.env).toEqual(
      expect.arrayContaining([
        { name: 'STORAGE_DAEMON_IMAGE', value: 'registry.example.com/team/aurora/storage-daemon:v2' },
        { name: 'COMPUTE_NODE_IMAGE', value: `registry.example.com/team/aurora/compute-node@${digest}` },
      ]),
    );
  });

  test('every setting of the operator comes from the chart; that operators elect one of them is not to be changed', () => {
    const env = (values: object): ReadonlyMap<string, string | undefined> => {
      const [container] = find<Deployment>(render({ values }), 'Deployment', 'kube-aurora-operator').spec.template.spec.containers;
      const entries = (container?.env ?? []) as readonly { name: string; value?: string }[];
      return new Map(entries.map(({ name, value }) => [name, value]));
    };
    const settings = Object.values(configSchema).map((setting) => setting.env);
    expect(settings.filter((name) => !env({}).has(name))).toEqual(['LEADER_ELECTION']);
    const set = env({ operator: { resyncSeconds: 60, certificateSpreadSeconds: 900, concurrency: 7 } });
    expect(['RESYNC_SECONDS', 'CERTIFICATE_SPREAD_SECONDS', 'CONCURRENCY'].map((name) => set.get(name))).toEqual(['60', '900', '7']);
  });

  test.each([
    ['a name that there is not', { operator: { replica: 3 } }, 'replica'],
    ['a word for a number', { operator: { replicas: 'two' } }, 'replicas'],
    ['a label that selectors use', { operator: { podLabels: { 'app.kubernetes.io/name': 'x' } } }, 'podLabels'],
    ['a short digest', { images: { digests: { operator: 'sha256:12' } } }, 'digests'],
    ['a peer of no kind', { networkPolicies: { metricsFrom: [{ namespace: 'monitoring' }] } }, 'metricsFrom'],
  ])('%s is refused by the schema, which names it', (_name, values, named) => {
    expect(() => render({ values })).toThrow(named);
  });

  test('the notes say the next command, in the namespace that is watched', () => {
    const notes = helm(['install', 'x', CHART, '--dry-run=client', '-n', 'y', '--set', 'watchNamespace=shop']).split('NOTES:')[1];
    expect(notes).toContain('kubectl get auroraclusters --namespace shop --watch');
    expect(notes).toContain('guard the pods of clusters in: shop.');
  });
});

test('a policy protects clusters where the API server has policies; elsewhere the operator holds them', () => {
  const made = (...args: string[]): readonly [boolean, string | undefined] => {
    const text = helm(['template', 'x', CHART, ...args]);
    return [text.includes('kind: ValidatingAdmissionPolicyBinding'), /DELETION_PROTECTION, value: (\w+)/.exec(text)?.[1]];
  };
  expect(made('--kube-version', '1.30.0')).toEqual([true, 'policy']);
  expect(made('--kube-version', '1.29.9')).toEqual([false, 'finalizer']);
  expect(made('--set', 'deletionProtection.policy=false')).toEqual([false, 'finalizer']);
  expect(helm(['template', 'x', CHART, '--set', 'watchNamespace=shop'])).toContain('kubernetes.io/metadata.name: shop');
});
