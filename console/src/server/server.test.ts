import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { request as ask } from 'node:http';
import { ApiError } from '@kube-aurora/kube-http';
import { createLogger } from '@kube-aurora/process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiOf, SCENE_NOW, SCENES, scrapeOf } from '../testing/scenes.ts';
import { ConsoleWatch } from '../watch/console-watch.ts';
import { TokenAccess } from './access.ts';
import { serveConsole } from './console-server.ts';
import { isOwnHost } from './own-host.ts';
import { routeOf } from './routes.ts';

const PAGE = new Map([['/', { type: 'text/html; charset=utf-8', content: Buffer.from('<!doctype html>') }]]);
const scene = SCENES['several clusters'];
/** alice may get clusters of `shop`, root of all; others are nobody. The API server is away for `late`. */
const asked: string[] = [];
const post = <T>(path: string, body: object): Promise<T> => {
  const { spec } = body as {
    spec: { token?: string; user?: string; resourceAttributes?: { namespace: string; verb: string; resource: string } };
  };
  asked.push(path);
  if (spec.token === 'late') return Promise.reject(new ApiError(0, 'Unreachable', 'away'));
  if (path.endsWith('/tokenreviews')) {
    const isKnown = spec.token === 'alice' || spec.token === 'root' || spec.token === 'nosy';
    return Promise.resolve({
      status: isKnown ? { authenticated: true, user: { username: spec.token, groups: ['g'] } } : { authenticated: false },
    } as T);
  }
  expect(spec.resourceAttributes).toMatchObject({ verb: 'get', resource: 'auroraclusters', group: 'kube-aurora.dev' });
  return Promise.resolve({
    status: { allowed: spec.user === 'root' || (spec.user === 'alice' && spec.resourceAttributes?.namespace === 'shop') },
  } as T);
};

let port = 0;
let close: () => Promise<void>;
let now = SCENE_NOW;
const watch = new ConsoleWatch({ api: apiOf(scene), namespace: undefined, scrape: scrapeOf(scene, () => now), now: () => now });

beforeAll(async () => {
  await watch.round();
  const logger = createLogger('console');
  ({ port, close } = await serveConsole({
    listen: '127.0.0.1:0',
    page: PAGE,
    watch,
    access: new TokenAccess({ post }, () => now),
    logger,
    now: () => now,
  }));
});
afterAll(() => close());

interface Said {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

function get(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<Said> {
  return new Promise((resolve, reject) => {
    const request = ask({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ code: response.statusCode ?? 0, headers: response.headers, text }));
    });
    request.on('error', reject);
    request.end();
  });
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('who may look', () => {
  test('whoever has no token gets the page, and nothing of a cluster', async () => {
    expect((await get('/')).code).toBe(200);
    for (const path of ['/api/overview', '/api/clusters/shop/orders', '/api/clusters/shop/orders/history']) {
      const said = await get(path);
      expect(said.code).toBe(401);
      expect(said.text).not.toContain('orders');
    }
  });

  test.each([
    ['a token that nobody knows', bearer('made-up'), 401],
    ['one that may get no cluster', bearer('nosy'), 403],
    ['one that the API server cannot be asked about', bearer('late'), 503],
    ['one in the header that the API server leaves alone', { 'x-kube-aurora-token': 'root' }, 200],
  ])('%s', async (_what, headers, code) => expect((await get('/api/overview', headers)).code).toBe(code));

  test('each sees the clusters of namespaces that it may get them of, and does not learn of others', async () => {
    const names = async (token: string): Promise<string[]> =>
      (JSON.parse((await get('/api/overview', bearer(token))).text) as { clusters: { name: string }[] }).clusters.map(({ name }) => name);
    expect(await names('alice')).toEqual(['orders']);
    expect((await names('root')).toSorted()).toEqual(['demo', 'ledger', 'orders']);
    const [theirs, nobodys] = await Promise.all([
      get('/api/clusters/bank/ledger', bearer('alice')),
      get('/api/clusters/bank/other', bearer('alice')),
    ]);
    expect([theirs.code, nobodys.code]).toEqual([404, 404]);
    expect(theirs.text.replace('ledger', 'other')).toBe(nobodys.text);
  });

  test('the API server is asked of a token once in half a minute, and strangers get no more of it than that', async () => {
    const access = new TokenAccess({ post }, () => now);
    const before = asked.length;
    await access.admit('alice');
    await access.admit('alice');
    expect(asked.length - before).toBe(1);
    now += 31_000;
    await access.admit('alice');
    expect(asked.length - before).toBe(2);
    now = SCENE_NOW;
    const many = await Promise.all(Array.from({ length: 50 }, (_, index) => access.admit(`stranger ${index}`)));
    expect(many.filter(({ kind }) => kind === 'badToken')).toHaveLength(8);
    expect(many.filter(({ kind }) => kind === 'busy')).toHaveLength(42);
  });
});

describe('what it answers', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'PROPFIND'])('%s is refused on every path', async (method) => {
    for (const path of ['/', '/api/overview', '/api/clusters/shop/orders', '/healthz']) {
      const said = await get(path, bearer('root'), method);
      expect([said.code, said.headers['allow']]).toEqual([405, 'GET']);
    }
  });

  test('every answer forbids what the page does not need', async () => {
    for (const path of ['/', '/api/overview', '/nothing', '/healthz']) {
      const { headers } = await get(path);
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' });
    }
  });

  test('a name that others gave this address, and pages of others, get nothing', async () => {
    expect((await get('/', { host: 'evil.example' })).code).toBe(421);
    expect((await get('/api/overview', { ...bearer('root'), 'sec-fetch-site': 'cross-site' })).code).toBe(403);
    expect((await get('/', { host: `localhost:${port}` })).code).toBe(200);
    expect([
      isOwnHost('evil.example', '0.0.0.0'),
      isOwnHost('[::1]:7005', '127.0.0.1'),
      isOwnHost('127.0.0.1.evil.example', '127.0.0.1'),
    ]).toEqual([true, true, false]);
    expect([isOwnHost(undefined, '127.0.0.1'), isOwnHost('', '127.0.0.1')]).toEqual([false, false]);
  });

  test('paths are those that there are', () => {
    const none = new URLSearchParams();
    expect(routeOf('/api/clusters/a/b/history', new URLSearchParams('since=5'))).toEqual({
      kind: 'history',
      namespace: 'a',
      name: 'b',
      since: 5,
    });
    for (const path of [
      '/api/clusters/a',
      '/api/clusters/../b',
      '/api/clusters/a/b/c',
      '/api/clusters/A/b',
      '/api/',
      '/api/overview/',
      '/api/clusters/a/%62',
    ])
      expect(routeOf(path, none)).toBeUndefined();
    expect(routeOf('/api/clusters/a/b/history', new URLSearchParams('since=-1'))).toBeUndefined();
  });

  test('noise at the port ends its own connection, and nobody else is the worse for it', async () => {
    const noises = [
      randomBytes(4096),
      Buffer.from('GET / HTTP/1.1\r\n'),
      Buffer.from(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`),
      Buffer.from('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\nbody'),
      Buffer.from('GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n'),
      Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n'),
      Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ];
    const answers = await Promise.all(
      noises.map(
        (noise) =>
          new Promise<string>((resolve) => {
            let said = '';
            const socket = connect(port, '127.0.0.1', () => socket.end(noise));
            socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
            socket.on('error', () => undefined);
            socket.on('close', () => resolve(said));
          }),
      ),
    );
    for (const said of answers) expect(said).toMatch(/^$|^HTTP\/1\.1 (400|404|405|431) /);
    expect((await get('/api/overview', bearer('root'))).code).toBe(200);
  });
});
