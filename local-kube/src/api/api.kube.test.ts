import { statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, startTestCluster, type TestCluster } from '../testing/cluster.ts';
import { widget, WIDGETS } from '../testing/manifests.ts';

/** The API as a real kubectl sees it; no pods run. */
describe('kubectl', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster({ runPods: false });
    await cluster.kubectl('apply -f -', WIDGETS);
    await cluster.kubectl('wait --for=condition=Established crd/widgets.example.dev --timeout=50s');
  });
  afterAll(() => cluster.stop());

  it('knows the cluster', async () => {
    expect(await cluster.kubectl('get nodes')).toMatch(/^NAME +STATUS +ROLES +AGE\nnode-zone-a +Ready +worker/);
    expect(await cluster.kubectl('version')).toContain('Server Version: v1.');
    expect(await cluster.kubectl('cluster-info')).toContain('is running at');
    expect(await cluster.kubectl('api-resources')).toMatch(/widgets +wd +example.dev\/v1 +true +Widget/);
    expect(await cluster.kubectl('get all')).toContain('service/kubernetes');
  });

  it('keeps secrets to its owner, and asks for the token', async () => {
    for (const file of ['kubeconfig', 'identity/identity.json', 'state/journal.jsonl'])
      expect(statSync(path.join(cluster.directory, file)).mode & 0o777).toBe(0o600);
    await expect(cluster.kubectl('get nodes --token=wrong')).rejects.toThrow(/Unauthorized|must be logged in/);
  });

  it('issues tokens of ServiceAccounts, for audiences and a time, and reviews them', async () => {
    await cluster.kubectl('create serviceaccount courier');
    const issued = (await cluster.kubectl('create token courier --audience=shop/demo --audience=other --duration=15m')).trim();
    const claims = JSON.parse(Buffer.from(issued.split('.')[1] ?? '', 'base64url').toString()) as { exp: number; iat: number };
    expect(claims).toMatchObject({ sub: 'system:serviceaccount:default:courier', aud: ['shop/demo', 'other'] });
    expect(claims.exp - claims.iat).toBe(900);
    const review = async (token: string, ...audiences: string[]): Promise<unknown> => {
      const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
      const text = await cluster.kubectl('create -f - -o json', JSON.stringify(asked));
      return (JSON.parse(text) as { status: unknown }).status;
    };
    expect(await review(issued, 'shop/demo')).toMatchObject({
      authenticated: true,
      audiences: ['shop/demo'],
      user: {
        username: 'system:serviceaccount:default:courier',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      },
    });
    expect(await review(issued, 'shop/other')).not.toHaveProperty('authenticated');
    expect(await review(issued), 'it is not for the API').not.toHaveProperty('authenticated');
    const [head, body, signature = ''] = issued.split('.');
    expect(
      await review([head, body, `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`].join('.'), 'shop/demo'),
    ).not.toHaveProperty('authenticated');
    await expect(cluster.kubectl('create token courier --duration=5m')).rejects.toThrow('may not specify a duration less than 10 minutes');
    await expect(cluster.kubectl('create token nobody')).rejects.toThrow('serviceaccounts "nobody" not found');
    const own = (await cluster.kubectl('create token courier')).trim();
    expect(await cluster.kubectl(`auth whoami --token=${own} -o jsonpath={.status.userInfo.username}`)).toBe(
      'system:serviceaccount:default:courier',
    );
    await cluster.kubectl('delete serviceaccount courier');
    expect(await review(issued, 'shop/demo')).not.toHaveProperty('authenticated');
  });

  it('applies, changes, prints, describes, explains and deletes objects of a custom kind', async () => {
    expect(await cluster.kubectl('apply -f -', widget('one', '{color: red}'))).toContain('widget.example.dev/one created');
    expect(await cluster.kubectl('apply -f -', widget('one', '{color: red}'))).toContain('unchanged');
    expect(await cluster.kubectl('apply -f -', widget('one', '{color: blue}'))).toContain('configured');
    expect(await cluster.kubectl('get wd one -o jsonpath={.spec}')).toBe('{"color":"blue","size":3}');
    await cluster.kubectl('patch wd one --subresource=status --type=merge -p {"status":{"phase":"Fine"}}');
    expect(await cluster.kubectl('get wd -o wide')).toMatch(/NAME +PHASE +SIZE +AGE\none +Fine +3 +\d+s/);
    await cluster.kubectl('label wd one tier=gold');
    await cluster.kubectl('annotate wd one note=hello');
    expect(await cluster.kubectl('describe wd one')).toMatch(/Labels: +tier=gold\nAnnotations: +note: hello/);
    expect(await cluster.kubectl('explain widget.spec.size')).toContain('How large it is');
    expect(await cluster.kubectl('get wd -l tier=gold -o name')).toBe('widget.example.dev/one\n');
    expect(await cluster.kubectl('delete wd one')).toContain('deleted');
    await expect(cluster.kubectl('get wd one')).rejects.toThrow('widgets.example.dev "one" not found');
  });

  it('refuses what is wrong and names the field', async () => {
    await expect(cluster.kubectl('apply -f -', widget('bad', '{size: 16}'))).rejects.toThrow(
      'spec.size: Invalid value: 16: spec.size in body should be less than or equal to 6',
    );
    await expect(cluster.kubectl('apply -f -', widget('bad', '{colour: red}'))).rejects.toThrow(
      'strict decoding error: unknown field "spec.colour"',
    );
    await expect(cluster.kubectl('apply -f -', '{apiVersion: example.dev/v1, kind: Widget, metadata: {name: bad}}')).rejects.toThrow(
      'spec: Required value',
    );
    await expect(cluster.kubectl('apply -f -', '{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad_Name}}')).rejects.toThrow(
      'metadata.name: Invalid value: "Bad_Name"',
    );
    await expect(
      cluster.kubectl(
        'apply -f -',
        '{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: x, prots: []}]}}',
      ),
    ).rejects.toThrow('unknown field "spec.containers[0].prots"');
  });

  it('applies on the server side with owners of fields', async () => {
    const apply = (spec: string, more = ''): Promise<string> =>
      cluster.kubectl(`apply --server-side -f - --field-manager=a${more}`, widget('owned', spec));
    await apply('{size: 2, color: red}');
    await cluster.kubectl('patch wd owned --type=merge -p {"spec":{"size":4}} --field-manager=b');
    await expect(apply('{size: 2, color: red}')).rejects.toThrow('conflict with "b" using example.dev/v1: .spec.size');
    await apply('{size: 2}', ' --force-conflicts');
    expect(await cluster.kubectl('get wd owned -o jsonpath={.spec}')).toBe('{"size":2}');
  });

  it('merges built-in kinds strategically', async () => {
    await cluster.kubectl(
      'apply -f -',
      '{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{name: a, port: 1}, {name: b, port: 2}]}}',
    );
    await cluster.kubectl('patch svc s -p {"spec":{"ports":[{"port":2,"targetPort":9}]}}');
    expect(await cluster.kubectl('get svc s -o jsonpath={.spec.ports[*].targetPort}')).toBe('1 9');
    await cluster.kubectl('apply -f -', '{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{name: b, port: 2}]}}');
    expect(await cluster.kubectl('get svc s -o jsonpath={.spec.ports[*].name}')).toBe('b');
  });

  it('collects what lost its owner, holds for finalizers, and orphans when asked', async () => {
    const config = async (name: string, owner: string): Promise<string> => {
      const uid = await cluster.kubectl(`get wd ${owner} -o jsonpath={.metadata.uid}`);
      return `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}, ownerReferences: [{apiVersion: example.dev/v1, kind: Widget, name: ${owner}, uid: "${uid}", blockOwnerDeletion: true}]}}`;
    };
    for (const [owner, policy] of [
      ['background', 'background'],
      ['foreground', 'foreground'],
    ]) {
      await cluster.kubectl('apply -f -', widget(owner ?? '', '{}'));
      await cluster.kubectl('apply -f -', await config(`of-${owner ?? ''}`, owner ?? ''));
      await cluster.kubectl(`delete wd ${owner ?? ''} --cascade=${policy ?? ''}`);
      await eventually(() => expect(cluster.kubectl(`get cm of-${owner ?? ''}`)).rejects.toThrow('not found'));
    }
    await cluster.kubectl('apply -f -', widget('orphan', '{}'));
    await cluster.kubectl('apply -f -', await config('of-orphan', 'orphan'));
    await cluster.kubectl('delete wd orphan --cascade=orphan');
    expect(await cluster.kubectl('get cm of-orphan -o jsonpath={.metadata.ownerReferences}')).toBe('');
    await cluster.kubectl('apply -f -', '{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.dev/hold]}}');
    await cluster.kubectl('delete cm held --wait=false');
    expect(await cluster.kubectl('get cm held -o jsonpath={.metadata.deletionTimestamp}')).not.toBe('');
    await cluster.kubectl('patch cm held --type=json -p [{"op":"remove","path":"/metadata/finalizers"}]');
    await expect(cluster.kubectl('get cm held')).rejects.toThrow('not found');
  });

  it('empties namespaces and definitions that are deleted', async () => {
    await cluster.kubectl('create namespace team');
    await cluster.kubectl('create configmap -n team c --from-literal=a=b');
    await cluster.kubectl('create secret generic -n team s --from-literal=a=b');
    expect(await cluster.kubectl('get secret -n team s -o jsonpath={.data.a}')).toBe('Yg==');
    await cluster.kubectl('delete namespace team --timeout=50s');
    await expect(cluster.kubectl('get namespace team')).rejects.toThrow('not found');
    await expect(cluster.kubectl('create configmap -n team c')).rejects.toThrow('namespaces "team" not found');
    await cluster.kubectl('apply -f -', WIDGETS.replaceAll('widgets', 'gadgets').replaceAll('Widget', 'Gadget').replace('[wd]', '[gd]'));
    await cluster.kubectl('apply -f -', widget('g', '{}').replace('Widget', 'Gadget'));
    await cluster.kubectl('delete crd gadgets.example.dev --timeout=50s');
    await expect(cluster.kubectl('get gadgets')).rejects.toThrow(/could not find the requested resource|doesn't have a resource type/);
  });

  it('keeps everything over a restart', async () => {
    await cluster.kubectl('create configmap kept --from-literal=a=b');
    await cluster.restart();
    expect(await cluster.kubectl('get cm kept -o jsonpath={.data.a}')).toBe('b');
    expect(await cluster.kubectl('get crd widgets.example.dev')).toContain('widgets.example.dev');
  });
});
