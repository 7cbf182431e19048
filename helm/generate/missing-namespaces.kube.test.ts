import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../../local-kube/src/testing/cluster.ts';
import { helmPath } from '../../scripts/kubectl.mjs';
import { CHART } from './chart.ts';

/** local-kube has no such kind: nobody there would keep to it. */
const NETWORK_POLICIES = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: networkpolicies.networking.k8s.io }
spec:
  group: networking.k8s.io
  scope: Namespaced
  names: { kind: NetworkPolicy, plural: networkpolicies, singular: networkpolicy }
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }]
`;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ runPods: false });
  await cluster.kubectl('apply -f -', NETWORK_POLICIES);
  await cluster.kubectl('wait --for=condition=Established crd/networkpolicies.networking.k8s.io --timeout=50s');
});
afterAll(() => cluster.stop());

/** What an installation would make, and the notes at its end. Helm asks an API server of this very process. */
async function install(...namespaces: readonly string[]): Promise<string> {
  const where = ['--namespace', 'kube-system', '--dry-run=server', '--disable-openapi-validation', '--kubeconfig', cluster.kube.kubeconfig];
  const values = ['--set', 'crds.install=false', '--set-json', `networkPolicies.clusterNamespaces=${JSON.stringify(namespaces)}`];
  const { stdout } = await promisify(execFile)(helmPath(), ['install', 'kube-aurora', CHART, ...where, ...values], { maxBuffer: 2 ** 26 });
  return stdout;
}

test('a namespace that does not exist keeps nobody from installing: its policies come by the next upgrade, and the notes say so', async () => {
  const without = await install('default', 'shop');
  expect(without).toMatch(/name: kube-aurora-storage\n +namespace: default/);
  expect(without).not.toContain('namespace: shop');
  expect(without).toMatch(/guard the pods of clusters in: default\.[^]*NO NetworkPolicies were made in shop: there is no such namespace/);
  await cluster.kubectl('create namespace shop');
  const whole = await install('default', 'shop');
  expect(whole).toMatch(/name: kube-aurora-compute\n +namespace: shop/);
  expect(whole).toContain('guard the pods of clusters in: default, shop.');
  expect(whole).not.toContain('NO NetworkPolicies');
});
