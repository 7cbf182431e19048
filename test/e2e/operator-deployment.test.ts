/**
 * deploy/operator.yaml as it is, applied to local-kube: the Deployment runs two operators, one of them works, and when
 * that one is killed or its template changes somebody goes on.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_IMAGES, readImageMap } from '../../local-kube/src/kubelet/image-map.ts';
import { eventually, startTestCluster, type TestCluster } from '../../local-kube/src/testing/cluster.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));
const NAMESPACE = 'kube-aurora-system';

describe('deploy/operator.yaml', () => {
  let cluster: TestCluster;
  const leader = (): Promise<string> => cluster.kubectl(`get lease -n ${NAMESPACE} -o jsonpath={.items[0].spec.holderIdentity}`);
  const rolledOut = (): Promise<string> => cluster.kubectl(`rollout status -n ${NAMESPACE} deploy/kube-aurora-operator --timeout=28s`);

  beforeAll(async () => {
    cluster = await startTestCluster({ images: readImageMap(DEFAULT_IMAGES) });
    for (const file of ['crd', 'namespace', 'rbac', 'operator']) await cluster.kubectl(`apply --server-side -f ${DEPLOY}/${file}.yaml`);
  });
  afterAll(() => cluster.stop());

  it('runs as it is: both pods are ready, in two zones, and one leads', async () => {
    await eventually(async () => expect(await rolledOut()).toContain('successfully rolled out'), 90_000);
    expect(await cluster.kubectl(`get deploy -n ${NAMESPACE}`)).toMatch(/kube-aurora-operator +2\/2 +2 +2/);
    const nodes = await cluster.kubectl(`get pods -n ${NAMESPACE} -o jsonpath={.items[*].spec.nodeName}`);
    expect(new Set(nodes.split(' ')).size).toBe(2);
    await eventually(async () => expect(await leader()).toMatch(/^kube-aurora-operator-/), 60_000);
  });

  it('goes on when the pod that leads is deleted', async () => {
    const first = await leader();
    const name = (await cluster.kubectl(`get pods -n ${NAMESPACE} -o name`))
      .split('\n')
      .find((pod) => first.includes(pod.replace('pod/', '')));
    expect(name).toBeDefined();
    await cluster.kubectl(`delete -n ${NAMESPACE} ${name ?? ''} --timeout=28s`);
    await eventually(async () => {
      const next = await leader();
      expect(next).not.toBe('');
      expect(next).not.toBe(first);
    }, 90_000);
    await eventually(async () => expect(await rolledOut()).toContain('successfully rolled out'), 90_000);
  });
});
