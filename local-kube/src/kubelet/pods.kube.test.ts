import http from 'node:http';
import net from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forwardPort } from '../../../kubectl-aurora/src/psql/port-forward.ts';
import { eventually, startTestCluster, type TestCluster } from '../testing/cluster.ts';
import { SCRATCH, SIDECAR, WEB } from '../testing/manifests.ts';

function get(host: string, port: number, path = '/'): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ host, port, path, agent: false, timeout: 3000 }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });
}

/** Pods as processes, seen with a real kubectl. */
describe('pods', () => {
  let cluster: TestCluster;
  const field = (what: string, path: string): Promise<string> => cluster.kubectl(`get ${what} -o jsonpath={${path}}`);
  const outage = (node: string, value: string): Promise<string> =>
    cluster.kubectl(`annotate node ${node} local-kube.kube-aurora.dev/outage${value}`);
  let web = '';

  beforeAll(async () => {
    cluster = await startTestCluster();
    await cluster.kubectl('apply -f -', WEB);
    await cluster.kubectl('wait --for=condition=Ready pod/web-0 pod/web-1 --timeout=50s');
    web = await field('svc web', '.spec.clusterIP');
  });
  afterAll(() => cluster.stop());

  it('run with their environment, disks and secrets, and look as on a cluster', async () => {
    expect(await cluster.kubectl('get pods -o wide')).toMatch(/web-0 +1\/1 +Running +0 +\d+s +127\.\d+\.\d+\.\d+ +node-zone-a/);
    const ip = await field('pod web-0', '.status.podIP');
    expect(JSON.parse(await get(ip, 8080))).toEqual({ name: 'web-0', password: 'hunter2' });
    const description = await cluster.kubectl('describe pod web-0');
    expect(description).toMatch(
      /Normal +Scheduled .*Successfully assigned default\/web-0 to node-zone-a[^]*Normal +Started .*Started container web/,
    );
    expect(await cluster.kubectl('logs web-0')).toBe('started web-0\n');
    expect(await cluster.kubectl('get pvc web-0')).toMatch(/web-0 +Bound +pvc-/);
  });

  it('are reached through the API server: what they serve by a proxy, any port by a forward', async () => {
    const raw = (path: string): Promise<string> => cluster.kubectl(`get --raw /api/v1/namespaces/default/pods/${path}`);
    expect(JSON.parse(await raw('web-0:8080/proxy/'))).toMatchObject({ name: 'web-0' });
    expect(await raw('http:web-1:/proxy/dns/none.default.svc')).toBe('ENOTFOUND');
    await expect(raw('web-0:1/proxy/')).rejects.toThrow(/error trying to reach service.*ECONNREFUSED/);
    await expect(raw('web-7:8080/proxy/')).rejects.toThrow('pods "web-7" not found');
    const said: string[] = [];
    const config = new KubeConfig();
    config.loadFromFile(cluster.kube.kubeconfig);
    const forward = (pod: string) => forwardPort(config, { namespace: 'default', pod, port: 8080 }, (text) => said.push(text));
    const forwarded = await forward('web-1');
    expect(JSON.parse(await get('127.0.0.1', forwarded.port))).toMatchObject({ name: 'web-1' });
    expect(JSON.parse(await get('127.0.0.1', forwarded.port))).toMatchObject({ name: 'web-1' });
    forwarded.close();
    const none = await forward('web-7');
    await expect(get('127.0.0.1', none.port)).rejects.toThrow();
    expect(said).toEqual([expect.stringMatching(/^port-forward to web-7: .*404/)]);
    none.close();
  });

  it('see a changed Secret while they run, and keep what they have when it is gone', async () => {
    const ip = await field('pod web-0', '.status.podIP');
    const password = async (): Promise<string> => String((JSON.parse(await get(ip, 8080)) as { password: string }).password);
    const patch = (text: string): string => JSON.stringify({ stringData: { password: text } });
    const secret = await cluster.kubectl('get secret login -o json');
    await cluster.kubectl(`patch secret login --type=merge -p ${patch('changed')}`);
    await eventually(async () => expect(await password()).toBe('changed'));
    await cluster.kubectl('delete secret login');
    expect(await password()).toBe('changed');
    await cluster.kubectl('create -f -', secret);
    await eventually(async () => expect(await password()).toBe('hunter2'));
    expect(await field('pod web-0', '.status.containerStatuses[0].restartCount')).toBe('0');
  });

  it('are reached through Services, and find each other by name', async () => {
    const names = new Set<string>();
    for (let index = 0; index < 4; index += 1) names.add(String((JSON.parse(await get(web, 8088)) as { name: string }).name));
    expect(names).toEqual(new Set(['web-0', 'web-1']));
    const [zero, one] = [await field('pod web-0', '.status.podIP'), await field('pod web-1', '.status.podIP')];
    for (const name of ['web', 'web.default', 'web.default.svc', 'web.default.svc.cluster.local'])
      expect(await get(web, 8088, `/dns/${name}`)).toBe(web);
    expect(await get(web, 8088, '/dns/web-1.peers.default.svc')).toBe(one);
    expect((await get(web, 8088, '/dns/peers')).split(',').toSorted()).toEqual([zero, one].toSorted());
    expect(await get(web, 8088, '/dns/none.default.svc')).toBe('ENOTFOUND');
    expect(await get(web, 8088, '/dns/localhost')).toMatch(/127\.0\.0\.1|::1/);
  });

  it('start again when their process ends, with the previous log and the reason', async () => {
    const ip = await field('pod web-1', '.status.podIP');
    await get(ip, 8080, '/crash').catch(() => undefined);
    await eventually(async () => expect(await field('pod web-1', '.status.containerStatuses[0].restartCount')).toBe('1'));
    await cluster.kubectl('wait --for=condition=Ready pod/web-1 --timeout=50s');
    expect(await field('pod web-1', '.status.containerStatuses[0].lastState.terminated.exitCode')).toBe('3');
    expect(await cluster.kubectl('logs web-1 --previous')).toBe('started web-1\n');
    expect(await field('pod web-1', '.status.containerStatuses[0].lastState.terminated.message')).toBe('started web-1');
    expect(await field('pod web-1', '.status.podIP')).toBe(ip);
    expect(await get(ip, 8080, '/starts')).toBe('xx');
  });

  it('back off when they fail over and over, and end when they are done', async () => {
    await cluster.kubectl('run fails --image=test/fails');
    await cluster.kubectl('run job --image=test/job --restart=Never');
    await eventually(async () =>
      expect(await cluster.kubectl('get pods fails job')).toMatch(/fails +0\/1 +CrashLoopBackOff +\d+ [^]*job +0\/1 +Completed +0/),
    );
    // Of one that was just started again there may be nothing yet.
    await eventually(async () => expect(await cluster.kubectl('logs fails')).toBe('about to fail\n'));
    await cluster.kubectl('delete pod fails job');
  });

  it('have disks that grow and never shrink', async () => {
    const resize = (size: string): Promise<string> =>
      cluster.kubectl(`patch pvc web-1 --type=merge -p {"spec":{"resources":{"requests":{"storage":"${size}"}}}}`);
    await resize('2Gi');
    await eventually(async () => expect(await field('pvc web-1', '.status.capacity.storage')).toBe('2Gi'));
    await expect(resize('1Gi')).rejects.toThrow('field can not be less than status.capacity');
  });

  it('have disks that are made for them and go with them, and wait for one of a class that is not there', async () => {
    await cluster.kubectl('apply -f -', SCRATCH);
    await cluster.kubectl('wait --for=condition=Ready pod/scratch --timeout=50s');
    const ip = await field('pod scratch', '.status.podIP');
    await get(ip, 8080, '/crash').catch(() => undefined);
    // A container that starts again finds what it wrote; the next pod of the name finds an empty disk.
    await eventually(async () => expect(await get(ip, 8080, '/starts')).toBe('xx'));
    const [owner, first] = [await field('pod scratch', '.metadata.uid'), await field('pvc scratch-data', '.metadata.uid')];
    expect(await field('pvc scratch-data', '.metadata.ownerReferences[0].uid')).toBe(owner);
    expect(await field('pvc scratch-data', '.metadata.labels.of')).toBe('scratch');
    await cluster.kubectl('delete pod scratch --force --wait=false');
    await cluster.kubectl('apply -f -', SCRATCH);
    await eventually(async () => expect(await get(await field('pod scratch', '.status.podIP'), 8080, '/starts')).toBe('x'));
    expect(await field('pvc scratch-data', '.metadata.uid')).not.toBe(first);
    await cluster.kubectl('delete pod scratch --timeout=50s');
    await eventually(async () => expect(`${await cluster.kubectl('get pvc')}${await cluster.kubectl('get pv')}`).not.toContain('scratch'));
    await cluster.kubectl('apply -f -', SCRATCH.replace('accessModes', 'storageClassName: none, accessModes'));
    await eventually(async () => expect(await field('pod scratch', '.status.conditions[0].message')).toContain('unbound immediate'));
    expect(await cluster.kubectl('describe pvc scratch-data')).toContain('storageclass.storage.k8s.io "none" not found');
    await cluster.kubectl(
      'create -f -',
      '{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: none}, provisioner: example.dev/none}',
    );
    await cluster.kubectl('wait --for=condition=Ready pod/scratch --timeout=50s');
    await cluster.kubectl('delete pod scratch --timeout=50s');
  });

  it('say what they wait for', async () => {
    await cluster.kubectl('run strange --image=test/unknown');
    await eventually(async () => expect(await cluster.kubectl('get pod strange')).toContain('CreateContainerConfigError'));
    expect(await cluster.kubectl('describe pod strange')).toContain(`image "test/unknown" is not in local-kube's image map`);
    await expect(cluster.kubectl('exec web-0 -- ls')).rejects.toThrow('local-kube does not support exec');
    await cluster.kubectl('delete pod strange');
  });

  it('have sidecars, which start before the others, are started again by themselves, and keep nobody else from going on', async () => {
    await cluster.kubectl('apply -f -', SIDECAR);
    await eventually(async () => expect(await cluster.kubectl('logs helped -c main')).toBe('help\n'));
    expect(await field('pod helped', '.status.initContainerStatuses[0].started')).toBe('true');
    await eventually(async () => expect(await field('pod helped', '.status.initContainerStatuses[0].restartCount')).toBe('1'));
    await cluster.kubectl('wait --for=condition=Ready pod/helped --timeout=50s');
    expect(await field('pod helped', '.status.containerStatuses[0].restartCount')).toBe('0');
    expect(await field('pod helped', '.status.phase')).toBe('Running');
    await cluster.kubectl('delete pod helped --timeout=50s');
  });

  it('are lost with their zone at once, their connections too, and come back with their disks', async () => {
    const socket = net.connect({ host: web, port: 8088 });
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()).on('error', () => undefined));
    await outage('node-zone-a', '=fail');
    await outage('node-zone-b', '=fail');
    await closed;
    await eventually(async () => expect(await cluster.kubectl('get nodes')).toMatch(/node-zone-a +NotReady[^]*node-zone-b +NotReady/));
    await eventually(async () => expect(await field('pod web-0', '.status.conditions[?(@.type=="Ready")].status')).toBe('False'));
    await eventually(async () => expect(await cluster.kubectl('get endpoints web')).toMatch(/web +<none>/));
    // A lost node's pods are neither done nor failed.
    await eventually(async () => expect(await field('pod web-0', '.status.containerStatuses[0].state.terminated.exitCode')).toBe('137'));
    expect(await field('pod web-0', '.status.phase')).toBe('Running');
    await eventually(() => expect(get(web, 8088)).rejects.toThrow('ECONNREFUSED'));
    await eventually(async () => expect(await cluster.kubectl('describe node node-zone-a')).toContain('NodeNotReady'));
    await outage('node-zone-a', '-');
    await outage('node-zone-b', '-');
    await cluster.kubectl('wait --for=condition=Ready pod/web-0 pod/web-1 --timeout=50s');
    expect(await get(await field('pod web-0', '.status.podIP'), 8080, '/starts')).toBe('xx');
  });

  it('stand still in a paused zone and go on where they were', async () => {
    const restarts = await field('pod web-0', '.status.containerStatuses[0].restartCount');
    await outage('node-zone-a', '=pause');
    await eventually(async () => expect(await cluster.kubectl('get endpoints web')).not.toContain(','));
    await outage('node-zone-a', '-');
    await cluster.kubectl('wait --for=condition=Ready pod/web-0 --timeout=50s');
    expect(await field('pod web-0', '.status.containerStatuses[0].restartCount')).toBe(restarts);
  });

  it('survive a restart of local-kube with their addresses and disks', async () => {
    const ip = await field('pod web-0', '.status.podIP');
    await cluster.restart();
    await eventually(async () => expect(await get(ip, 8080, '/starts')).toBe('xxx'));
    expect(await field('svc web', '.spec.clusterIP')).toBe(web);
    await eventually(() => get(web, 8088));
  });

  it('end gracefully when they are deleted, and give their address back', async () => {
    const follow = cluster.begin('logs -f web-0');
    await eventually(() => expect(follow.printed()).toContain('started web-0'));
    expect(await cluster.kubectl('delete pod web-0 --timeout=50s')).toContain('deleted');
    expect(await follow.ended).toMatch(/started web-0\nending\n/);
    await cluster.kubectl('delete pvc web-0 --timeout=50s');
    expect(await cluster.kubectl('get pv')).not.toContain('default/web-0');
  });
});
