import {
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  Watch,
  type V1ConfigMap,
} from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, startTestCluster, type TestCluster } from '../testing/cluster.ts';

/** What operators use: @kubernetes/client-node's informers, watches and server-side apply. */
describe('client-node', () => {
  let cluster: TestCluster;
  let config: KubeConfig;
  let api: CoreV1Api;
  const namespace = 'default';
  const put = (name: string, value: string): Promise<V1ConfigMap> =>
    api.patchNamespacedConfigMap(
      {
        name,
        namespace,
        fieldManager: 'test',
        force: true,
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { watched: 'yes' } }, data: { value } },
      },
      setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply),
    );

  const connect = (): void => {
    config = new KubeConfig();
    config.loadFromFile(cluster.kube.kubeconfig);
    api = config.makeApiClient(CoreV1Api);
  };
  beforeAll(async () => {
    cluster = await startTestCluster({ runPods: false, historyLimit: 20 });
    connect();
  });
  afterAll(() => cluster.stop());

  it('informers list, watch and see deletions', async () => {
    const informer = makeInformer<V1ConfigMap>(
      config,
      `/api/v1/namespaces/${namespace}/configmaps`,
      () => api.listNamespacedConfigMap({ namespace, labelSelector: 'watched=yes' }),
      'watched=yes',
    );
    const seen: string[] = [];
    for (const event of ['add', 'update', 'delete'] as const)
      informer.on(event, (object) => void seen.push(`${event} ${object.metadata?.name ?? ''} ${object.data?.['value'] ?? ''}`));
    await put('a', '1');
    await informer.start();
    await put('b', '1');
    await put('a', '2');
    await api.deleteNamespacedConfigMap({ name: 'b', namespace });
    await eventually(() => expect(seen).toEqual(['add a 1', 'add b 1', 'update a 2', 'delete b 1']));
    expect(informer.list().map((object) => object.metadata?.name)).toEqual(['a']);
    await informer.stop();
  });

  const watchFrom = async (
    query: { [key: string]: string },
    enough: (types: string[]) => boolean,
  ): Promise<{ type: string; object: { code?: number; metadata?: { name?: string; annotations?: object } } }[]> => {
    const events: { type: string; object: { code?: number; metadata?: { name?: string } } }[] = [];
    await new Promise<void>((resolve, reject) => {
      let request: AbortController | undefined;
      new Watch(config)
        .watch(
          `/api/v1/namespaces/${namespace}/configmaps`,
          query,
          (type: string, object: { code?: number; metadata?: { name?: string } }) => {
            events.push({ type, object });
            if (!enough(events.map((event) => event.type))) return;
            request?.abort();
            resolve();
          },
          () => resolve(),
        )
        .then((made) => (request = made), reject);
    });
    return events;
  };

  it('a watch resumes from a version, and gets 410 when that is too old', async () => {
    const { metadata } = await put('r', '1');
    await put('r', '2');
    await put('r', '3');
    const resumed = await watchFrom({ resourceVersion: metadata?.resourceVersion ?? '' }, (types) => types.length === 2);
    expect(resumed.map((event) => event.type)).toEqual(['MODIFIED', 'MODIFIED']);
    for (let index = 0; index < 60; index += 1) await put('r', String(index + 10));
    const late = await watchFrom({ resourceVersion: '1' }, () => true);
    expect(late[0]).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });

  it('a watch can begin with everything there is, closed by a bookmark', async () => {
    const events = await watchFrom(
      { sendInitialEvents: 'true', allowWatchBookmarks: 'true', resourceVersionMatch: 'NotOlderThan', labelSelector: 'watched=yes' },
      (types) => types.includes('BOOKMARK'),
    );
    expect(events.at(-1)).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    expect(events.slice(0, -1).map((event) => event.object.metadata?.name)).toEqual(['a', 'r']);
  });

  it('a stale write is a conflict', async () => {
    const before = await put('c', '1');
    await put('c', '2');
    await expect(api.replaceNamespacedConfigMap({ name: 'c', namespace, body: before })).rejects.toMatchObject({ code: 409 });
  });

  it('what is not served is not found', async () => {
    await expect(config.makeApiClient(BatchV1Api).listNamespacedJob({ namespace })).rejects.toMatchObject({ code: 404 });
  });

  it('informers go on after a restart of the server', async () => {
    const informer = makeInformer<V1ConfigMap>(
      config,
      `/api/v1/namespaces/${namespace}/configmaps`,
      () => api.listNamespacedConfigMap({ namespace, labelSelector: 'watched=yes' }),
      'watched=yes',
    );
    const seen = new Set<string>();
    informer.on('add', (object) => void seen.add(object.metadata?.name ?? ''));
    informer.on('error', () => void setTimeout(() => void informer.start().catch(() => undefined), 200));
    await informer.start();
    await cluster.restart();
    await put('after', '1');
    await eventually(() => expect(seen.has('after')).toBe(true));
    await informer.stop();
  });
});
