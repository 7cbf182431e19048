import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '@kube-aurora/process';
import { KubeClient } from './client.ts';
import { KindInformer, retryDelayMs } from './informer.ts';
import type { KubeObject } from './objects.ts';
import { RESOURCE } from './resources.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const pod = (name: string, resourceVersion: string): object => ({ metadata: { name, namespace: 'default', uid: name, resourceVersion } });

/** An API server of one list and one watch, which can be told to fail. */
async function serve() {
  const state = {
    items: [pod('a', '1')] as object[],
    failLists: 0,
    lists: 0,
    watches: [] as { response: ServerResponse; query: URLSearchParams }[],
    tokens: [] as string[],
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    state.tokens.push(request.headers.authorization ?? '');
    if (url.searchParams.get('watch') === 'true') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      state.watches.push({ response, query: url.searchParams });
      return;
    }
    state.lists += 1;
    if (state.failLists > 0) {
      state.failLists -= 1;
      response.writeHead(503).end('{"message":"starting"}');
      return;
    }
    response.end(JSON.stringify({ metadata: { resourceVersion: '10' }, items: state.items }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }, { name: 'me', token: 'secret' });
  const api = new KubeClient({ loadConfig: () => config });
  const seen: string[] = [];
  const informer = new KindInformer<KubeObject>({
    api,
    config: () => api.config,
    resource: RESOURCE.pods,
    namespace: '',
    labelSelector: 'x=y',
    logger: silentLogger(),
    onChange: ({ metadata }) => {
      seen.push(metadata.name);
      if (metadata.name === 'poison') throw new Error('handler');
    },
    now: Date.now,
    random: () => 0,
  });
  closers.push(() => {
    informer.stop();
    server.closeAllConnections();
    server.close();
  });
  const send = (type: string, object: object): void => void state.watches.at(-1)?.response.write(`${JSON.stringify({ type, object })}\n`);
  return { state, informer, seen, send };
}

test('lists, watches with bookmarks, and a throwing handler harms nothing', async () => {
  const { state, informer, seen, send } = await serve();
  informer.start();
  await expect.poll(() => state.watches.length).toBe(1);
  expect(informer.synced).toBe(true);
  expect(state.watches[0]?.query.get('allowWatchBookmarks')).toBe('true');
  expect(state.watches[0]?.query.get('labelSelector')).toBe('x=y');
  expect(state.watches[0]?.query.get('resourceVersion')).toBe('10');
  expect(new Set(state.tokens)).toEqual(new Set(['Bearer secret']));
  send('ADDED', pod('poison', '11'));
  send('ADDED', pod('b', '12'));
  send('DELETED', pod('a', '13'));
  await expect.poll(() => seen).toEqual(['a', 'poison', 'b', 'a']);
  expect(informer.list().map(({ metadata }) => metadata.name)).toEqual(['poison', 'b']);
});

test('failing lists are tried again until one succeeds', async () => {
  const { state, informer } = await serve();
  state.failLists = 2;
  informer.start();
  await expect.poll(() => informer.synced).toBe(true);
  expect(state.lists).toBe(3);
  expect(informer.brokenForMs).toBe(0);
});

test('however long the API server was away, its return is noticed within seconds', () => {
  expect([0, 1, 5, 1000].map((failures) => retryDelayMs(failures, 1))).toEqual([200, 400, 5000, 5000]);
  expect(retryDelayMs(1000, 0)).toBe(2500);
});

test('a cut connection is made again with a fresh list: what went meanwhile is gone', async () => {
  const { state, informer, seen } = await serve();
  informer.start();
  await expect.poll(() => state.watches.length).toBe(1);
  state.items = [pod('c', '20')];
  state.watches[0]?.response.destroy();
  await expect.poll(() => informer.get('default', 'c')).toBeDefined();
  expect(informer.get('default', 'a')).toBeUndefined();
  expect(seen).toEqual(['a', 'a', 'c']);
});
