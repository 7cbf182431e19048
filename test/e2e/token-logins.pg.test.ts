/**
 * The token port as it ships, before a stock PostgreSQL with the shim in it, and with tokens that a Kubernetes API issues and reviews
 * (local-kube).
 */
import { execFile, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { Client, type ClientConfig } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { systemClock } from '@kube-aurora/clock';
import { createLogger } from '@kube-aurora/process';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from '../../compute-node/src/postgres/fixture-agent.ts';
import { LOCAL_PORT } from '../../compute-node/src/postgres/supervise.ts';
import { IS_CLIENT_SESSION } from '../../compute-node/src/postgres/client-sessions.ts';
import { testPki } from '../../compute-node/src/tls/fixture-pki.ts';
import { localPostgres } from '../../compute-node/src/token-port/local-postgres.ts';
import { readLogins, type Login } from '../../compute-node/src/token-port/logins.ts';
import { ShownCertificate } from '../../compute-node/src/token-port/shown-certificate.ts';
import { TokenPort } from '../../compute-node/src/token-port/token-port.ts';
import { reviewAtApiServer } from '../../compute-node/src/token-port/token-review.ts';
import { startTestCluster, type TestCluster } from '../../local-kube/src/testing/cluster.ts';

const CLOCK = systemClock();
const AUDIENCE = 'kube-aurora/default/demo';
const SILENCE_MS = 700;
const login = (serviceAccount: string, role: string, allowSuperuser = false): Login => ({
  namespace: 'default',
  serviceAccount,
  role,
  allowSuperuser,
});

const PSQL = 'psql';
/** What `psql --version` says; undefined where there is none. */
const psql = ((): string | undefined => {
  const { stdout, error } = spawnSync(PSQL, ['--version'], { encoding: 'utf8' });
  return error === undefined ? stdout : undefined;
})();

interface TokenAnswer {
  readonly status?: { readonly token?: string };
}
/** Of ServiceAccounts: a request to the API as its administrator. */
let api: (method: 'POST' | 'DELETE', path: string, body?: object) => Promise<TokenAnswer>;
const makeAccount = (name: string): Promise<TokenAnswer> =>
  api('POST', '', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
/** Without an audience: that of the API itself. */
async function tokenOf(account: string, audience: string | null = AUDIENCE, expirationSeconds = 900): Promise<string> {
  const spec = { audiences: audience === null ? [] : [audience], expirationSeconds };
  const { status } = await api('POST', `/${account}/token`, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec });
  if (status?.token === undefined) throw new Error(`no token of ${account}`);
  return status.token;
}

let kube: TestCluster;
let volume: FixtureVolume;
let agent: FixtureAgent;
let pki: Awaited<ReturnType<typeof testPki>>;
let host: string;
let port: number;
let writerPort: number;
let reviewDir: string;
let tokenPort: TokenPort;
const logged: string[] = [];
let allowed: readonly Login[] = [];
beforeAll(async () => {
  kube = await startTestCluster({ runPods: false });
  const config = parseYaml(readFileSync(kube.kube.kubeconfig, 'utf8')) as {
    clusters: { cluster: Record<string, string> }[];
    users: { user: { token: string } }[];
  };
  const cluster = config.clusters[0]?.cluster ?? {};
  const ca = Buffer.from(cluster['certificate-authority-data'] ?? '', 'base64').toString();
  api = (method, path, body) =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${config.users[0]?.user.token ?? ''}`, 'content-type': 'application/json' };
      const sent = request(`${kube.kube.url}/api/v1/namespaces/default/serviceaccounts${path}`, { method, headers, ca }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString()) as TokenAnswer));
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  for (const name of ['shop', 'reviewer']) await makeAccount(name);
  reviewDir = mkdtempSync(join(tmpdir(), 'ka-review-'));
  writeFileSync(join(reviewDir, 'server'), cluster['server'] ?? '');
  writeFileSync(join(reviewDir, 'ca.crt'), ca);
  writeFileSync(join(reviewDir, 'token'), await tokenOf('reviewer', null, 3600));
  volume = await fixtureVolume();
  host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.1`;
  pki = await testPki([host]);
  agent = new FixtureAgent(volume);
  agent.holdsReplies = true;
  agent.pair = pki.pair;
  await agent.start({}, host);
  permit(600_000);
  tokenPort = new TokenPort({
    host,
    port: 0,
    writerPort: 0,
    certificate: new ShownCertificate(agent.socketDir, CLOCK),
    logins: async () => readLogins(JSON.stringify({ audience: AUDIENCE, logins: allowed })),
    review: reviewAtApiServer(reviewDir),
    postgres: localPostgres({ dir: agent.socketDir, port: LOCAL_PORT }, { dir: agent.clientSocketDir, port: LOCAL_PORT }),
    onLogin: () => undefined,
    clock: CLOCK,
    logger: createLogger('test', { level: 'info', destination: { write: (line) => void logged.push(line) } }),
  });
  [port = 0, writerPort = 0] = await tokenPort.listen();
  allowed = [login('shop', 'app'), login('shop', 'postgres'), login('shop', 'nobody')];
}, 600_000);
afterAll(async () => {
  tokenPort?.close();
  await agent?.stop();
  volume?.remove();
  await kube?.stop();
  if (reviewDir !== undefined) rmSync(reviewDir, { recursive: true });
}, 240_000);

function permit(forMs: number): void {
  const now = CLOCK.now();
  agent.postgres.permit({ askedAtMs: now, untilMs: now + forMs }, CLOCK);
}

const verified = (): ClientConfig['ssl'] => ({ ca: pki.authority.certificate });

async function connect(options: ClientConfig): Promise<Client> {
  const client = new Client({ host, port, user: 'app', database: 'app', ssl: verified(), connectionTimeoutMillis: 60_000, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  return Promise.race([
    promise.then(
      () => true,
      () => true,
    ),
    delay(withinMs, false),
  ]);
}

test('a pod logs in with its token for a password, as the role that is named for it', async () => {
  const password = await tokenOf('shop');
  const client = await connect({ password });
  const { rows } = await client.query(`select current_user as me, session_user as session, ${IS_CLIENT_SESSION} as counts
    from pg_stat_activity where pid = pg_backend_pid()`);
  expect(rows).toEqual([{ me: 'app', session: 'app', counts: true }]);
  const long = await client.query<{ text: string }>("select repeat('x', 3000000) as text");
  expect(long.rows[0]?.text).toHaveLength(3_000_000);
  await client.query('select length($1::text)', ['y'.repeat(3_000_000)]);
  await client.end();
  const byTheWritersPort = await connect({ password, port: writerPort });
  await byTheWritersPort.end();
  expect(logged.join('')).not.toContain(password.slice(-40));
}, 240_000);

test('TLS from the first byte on is taken of who says for what, and newer versions of the protocol are negotiated', async () => {
  const direct = connectTls({
    host,
    port,
    ca: pki.authority.certificate,
    ALPNProtocols: ['postgresql'],
    checkServerIdentity: () => undefined,
  });
  const startup = Buffer.from('....\0\x03\0\x02user\0app\0_pq_.x\0y\0\0', 'latin1');
  startup.writeUInt32BE(startup.length, 0);
  direct.write(startup);
  const seen: Buffer[] = [];
  direct.on('data', (chunk: Buffer) => seen.push(chunk));
  await expect.poll(() => Buffer.concat(seen).toString('latin1')).toBe('v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0R\0\0\0\x08\0\0\0\x03');
  direct.destroy();
  const other = connectTls({ host, port, ca: pki.authority.certificate, checkServerIdentity: () => undefined });
  other.on('error', () => undefined);
  await new Promise((resolve) => other.once('close', resolve));
}, 240_000);

// A machine need not have a psql; the driver's logins above run everywhere.
test.skipIf(psql === undefined)(
  'psql logs in, with its certificate checked',
  async () => {
    const ca = join(reviewDir, 'server-ca.crt');
    writeFileSync(ca, pki.authority.certificate);
    const env = { PGPASSWORD: await tokenOf('shop'), PATH: '/usr/bin:/bin' };
    const at = `host=${host} port=${port} user=app dbname=app sslmode=verify-full sslrootcert=${ca}`;
    // From version 17 on it can begin with TLS.
    const ways = Number(/ (\d+)/.exec(psql ?? '')?.[1]) >= 17 ? ['', ' sslnegotiation=direct'] : [''];
    for (const way of ways)
      expect((await promisify(execFile)(PSQL, ['-X', '-At', '-c', 'select current_user', at + way], { env })).stdout).toBe('app\n');
  },
  240_000,
);

test('who is not let in is told so, and the log says why', async () => {
  const refusal = async (options: ClientConfig): Promise<unknown> =>
    connect(options).then(
      () => 'connected',
      (error: unknown) => error,
    );
  const good = await tokenOf('shop');
  expect(await refusal({ password: good, ssl: false })).toMatchObject({ code: '28000', message: 'a token is taken only inside TLS' });
  expect(await refusal({ password: 'secret' })).toMatchObject({ code: '28P01' });
  const forTheApi = await tokenOf('shop', null);
  expect(await refusal({ password: forTheApi })).toMatchObject({ code: '28P01', detail: expect.stringContaining(AUDIENCE) });
  const hour = await tokenOf('shop', AUDIENCE, 3600);
  expect(await refusal({ password: hour })).toMatchObject({ code: '28P01', detail: expect.stringContaining('3600 seconds') });
  const [head, body, signature = ''] = good.split('.');
  expect(await refusal({ password: [head, body, `AAAA${signature.slice(4)}`].join('.') })).toMatchObject({ code: '28P01' });
  expect(await refusal({ password: await tokenOf('reviewer') })).toMatchObject({
    code: '28000',
    message: 'system:serviceaccount:default:reviewer may not log in as role "app"',
  });
  expect(await refusal({ password: good, user: 'postgres' })).toMatchObject({
    code: '28000',
    message: expect.stringContaining('is a superuser'),
  });
  expect(await refusal({ password: good, user: 'nobody' }), "PostgreSQL's own word").toMatchObject({
    message: expect.stringContaining('nobody'),
  });
  allowed = [...allowed.filter(({ role }) => role !== 'postgres'), login('shop', 'postgres', true)];
  const superuser = await connect({ password: good, user: 'postgres' });
  expect((await superuser.query('show is_superuser')).rows).toEqual([{ is_superuser: 'on' }]);
  await superuser.end();
  expect(await refusal({ password: good, user: 'postgres', replication: 'true' } as ClientConfig)).toMatchObject({ code: '0A000' });
  expect(logged.join('')).toMatch(/no entry of spec.postgresql.logins lets system:serviceaccount:default:reviewer be app/);
}, 240_000);

test('a token counts no more once its ServiceAccount is gone; sessions go on', async () => {
  await makeAccount('guest');
  allowed = [...allowed, login('guest', 'app')];
  const password = await tokenOf('guest');
  const client = await connect({ password });
  await api('DELETE', '/guest');
  await expect(connect({ password })).rejects.toMatchObject({ code: '28P01' });
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await client.end();
}, 240_000);

test('a query is cancelled by the port that its client came by', async () => {
  const client = await connect({ password: await tokenOf('shop') });
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const sleeping = client.query('select pg_sleep(60)');
  // A cancel that comes before the statement is one of nothing.
  const watching = await agent.connect('postgres');
  await expect.poll(async () => (await watching.query("select from pg_stat_activity where wait_event = 'PgSleep'")).rowCount).toBe(1);
  await watching.end();
  const packet = Buffer.alloc(16);
  for (const [index, word] of [16, 80_877_102, processID, secretKey].entries()) packet.writeInt32BE(word, index * 4);
  const socket = connectSocket(port, host);
  socket.end(packet);
  socket.resume();
  await expect(sleeping).rejects.toMatchObject({ code: '57014' });
  await client.end();
}, 240_000);

test('nothing leaves a session without the lease, and what was held leaves with it', async () => {
  const password = await tokenOf('shop');
  const client = await connect({ password });
  permit(100);
  await delay(300);
  const reply = client.query<{ n: number }>('select 41 + 1 as n');
  expect(await settles(reply, SILENCE_MS)).toBe(false);
  const another = connect({ password });
  expect(await settles(another, SILENCE_MS)).toBe(false);
  permit(600_000);
  expect((await reply).rows).toEqual([{ n: 42 }]);
  await (await another).end();
  await client.end();
}, 240_000);

test('a client that does not read holds up PostgreSQL, and not memory; noise is cut off', async () => {
  const client = await connect({ password: await tokenOf('shop') });
  const { stream } = (client as unknown as { connection: { stream: NodeJS.ReadableStream } }).connection;
  const before = process.memoryUsage.rss();
  const rows = client.query("select repeat('x', 100000) from generate_series(1, 2000)");
  stream.pause();
  await delay(1000);
  expect(process.memoryUsage.rss() - before, '200 MB are not read ahead').toBeLessThan(120e6);
  stream.resume();
  expect((await rows).rowCount).toBe(2000);
  await client.end();
  for (const bytes of [
    '',
    '\0',
    'GET / HTTP/1.1\r\n\r\n',
    '\x16\x03\x01\x00\x05hello',
    '\0\0\0\x08\x04\xd2\x16\x2fmore',
    '\0\0\x27\x11\0\x03\0\0',
  ]) {
    const socket = connectSocket(port, host);
    socket.on('error', () => undefined);
    socket.resume();
    if (bytes.length > 1) socket.write(Buffer.from(bytes, 'latin1'));
    else socket.end(Buffer.from(bytes, 'latin1'));
    await new Promise((resolve) => socket.once('close', resolve));
  }
  await (await connect({ password: await tokenOf('shop') })).end();
}, 240_000);
