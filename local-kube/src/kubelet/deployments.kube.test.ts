import http from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, startTestCluster, type TestCluster } from '../testing/cluster.ts';
import { WIDGETS, widget } from '../testing/manifests.ts';

const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  replicas: 3
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec:
      terminationGracePeriodSeconds: 5
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - { weight: 100, podAffinityTerm: { topologyKey: kubernetes.io/hostname, labelSelector: { matchLabels: { app: shop } } } }
      containers:
        - name: web
          image: test/anywhere:1
          env: [{ name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: http }, periodSeconds: 1 }
`;

function get(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ host, port: 8080, agent: false, timeout: 5000 }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });
}

/** Deployments, their scale, and how nodes are emptied, with a real kubectl and real processes. */
describe('Deployments', () => {
  let cluster: TestCluster;
  const field = (what: string, path: string): Promise<string> => cluster.kubectl(`get ${what} -o jsonpath={${path}}`);
  const pods = async (): Promise<string[]> =>
    (await cluster.kubectl('get pods -l app=shop -o name')).split('\n').filter((line) => line !== '');
  const rolledOut = (): Promise<string> => cluster.kubectl('rollout status deploy/shop --timeout=50s');

  beforeAll(async () => {
    cluster = await startTestCluster();
    await cluster.kubectl('apply -f -', DEPLOYMENT);
    expect(await rolledOut()).toContain('successfully rolled out');
  });
  afterAll(() => cluster.stop());

  it('run pods that listen on every address, each on its own', async () => {
    expect(await cluster.kubectl('get deploy shop')).toMatch(/shop +3\/3 +3 +3/);
    const [names, ips] = [
      await field('pods -l app=shop', '.items[*].metadata.name'),
      await field('pods -l app=shop', '.items[*].status.podIP'),
    ];
    const answers = await Promise.all(ips.split(' ').map((ip) => get(ip)));
    expect(answers.map((text) => (JSON.parse(text) as { name: string }).name)).toEqual(names.split(' '));
    expect(new Set((await field('pods -l app=shop', '.items[*].spec.nodeName')).split(' ')).size).toBe(3);
  });

  it('make a pod anew that is deleted, and follow kubectl scale', async () => {
    const [first = ''] = await pods();
    await cluster.kubectl(`delete ${first} --timeout=50s`);
    await rolledOut();
    expect(await pods()).not.toContain(first);
    expect(await cluster.kubectl('scale deploy shop --replicas=2')).toContain('scaled');
    await eventually(async () => expect(await field('deploy shop', '.status.replicas')).toBe('2'));
    await expect(cluster.kubectl('scale deploy shop --replicas=4 --current-replicas=3')).rejects.toThrow('Expected replicas to be 3');
    expect(await cluster.kubectl('get --raw /apis/apps/v1/namespaces/default/deployments/shop/scale')).toContain('"selector":"app=shop"');
    await cluster.kubectl('scale deploy shop --replicas=3');
    await rolledOut();
  });

  it('move to a new template step by step, and back', async () => {
    const [before, revision] = [await cluster.kubectl('get rs -o name'), await field('deploy shop', '.metadata.annotations')];
    expect(revision).toContain('"deployment.kubernetes.io/revision":"1"');
    await cluster.kubectl('set env deploy/shop COLOUR=red');
    await rolledOut();
    expect(await cluster.kubectl('rollout history deploy/shop')).toMatch(/^1 +<none>\n2 +<none>$/m);
    // Those of before are listed until they have ended.
    await eventually(async () => expect((await pods()).length).toBe(3));
    await cluster.kubectl('rollout undo deploy/shop');
    await rolledOut();
    // The earlier template's ReplicaSet is the current one again.
    expect(await cluster.kubectl(`get ${before.trim()}`)).toMatch(/ 3 +3 +3 /);
    expect((await cluster.kubectl('get rs -o name')).trim().split('\n')).toHaveLength(2);
    await expect(cluster.kubectl('patch deploy shop --type=merge -p {"spec":{"selector":{"matchLabels":{"app":"x"}}}}')).rejects.toThrow(
      'field is immutable',
    );
  });

  it('are emptied from a node within their disruption budget', async () => {
    await cluster.kubectl('create pdb shop --selector=app=shop --max-unavailable=1');
    await eventually(async () => expect(await field('pdb shop', '.status.disruptionsAllowed')).toBe('1'));
    expect(await field('pdb shop', '.status.expectedPods')).toBe('3');
    // Where the scheduler has put them is its own affair.
    const node = await field('pods -l app=shop', '.items[0].spec.nodeName');
    expect(await cluster.kubectl(`drain ${node} --timeout=50s`)).toMatch(/evicting pod default\/shop-[^]*drained/);
    await rolledOut();
    expect(await field('pods -l app=shop', '.items[*].spec.nodeName')).not.toContain(node);
    await cluster.kubectl(`uncordon ${node}`);
    await cluster.kubectl('delete pdb shop');
  });

  it('hold a drain whose budget nobody can count: pods of a kind without a scale', async () => {
    await cluster.kubectl('apply -f -', WIDGETS);
    await cluster.kubectl('wait --for=condition=Established crd/widgets.example.dev --timeout=50s');
    await cluster.kubectl('apply -f -', widget('owner', '{}'));
    const uid = await field('wd owner', '.metadata.uid');
    await cluster.kubectl(
      'apply -f -',
      `{apiVersion: v1, kind: Pod, metadata: {name: owned, labels: {app: owned}, ownerReferences: [{apiVersion: example.dev/v1, kind: Widget, name: owner, uid: "${uid}", controller: true}]},
        spec: {nodeName: node-zone-b, containers: [{name: web, image: "test/anywhere:1"}]}}`,
    );
    await cluster.kubectl('wait --for=condition=Ready pod/owned --timeout=50s');
    await cluster.kubectl('create pdb owned --selector=app=owned --max-unavailable=1');
    await eventually(async () => expect(await field('pdb owned', '.status.conditions[0].reason')).toBe('SyncFailed'));
    expect(await field('pdb owned', '.status.disruptionsAllowed')).toBe('0');
    expect(await cluster.kubectl('describe pdb owned')).toContain(
      'Failed to calculate the number of expected pods: widgets.example.dev does not implement the scale subresource',
    );
    await expect(cluster.kubectl('drain node-zone-b --pod-selector=app=owned --timeout=3s')).rejects.toThrow(
      "Cannot evict pod as it would violate the pod's disruption budget",
    );
    // An absolute minAvailable needs nobody's scale.
    await cluster.kubectl('delete pdb owned');
    await cluster.kubectl('create pdb owned --selector=app=owned --min-available=0');
    await eventually(async () => expect(await field('pdb owned', '.status.disruptionsAllowed')).toBe('1'));
    expect(await cluster.kubectl('drain node-zone-b --pod-selector=app=owned --timeout=50s')).toContain('drained');
    await cluster.kubectl('uncordon node-zone-b');
  });

  it('go with all they made', async () => {
    await cluster.kubectl('delete deploy shop --cascade=foreground --timeout=50s');
    expect(await pods()).toEqual([]);
    expect(await cluster.kubectl('get rs -o name')).toBe('');
  });
});
