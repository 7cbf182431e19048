import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testLogin, testPki } from '../../compute-node/src/tls/fixture-pki.ts';
import { Cluster } from './cluster-harness.ts';
import type { AgentStatus } from './compute-process.ts';

let cluster: Cluster;
/** Where the certificate for clients is mounted; nothing is there at first. */
const tlsDir = mkdtempSync(join(tmpdir(), 'ka-tls-'));
beforeAll(async () => {
  cluster = await Cluster.start({ pgParameters: { work_mem: '5MB' }, env: { AURORA_TLS_DIR: tlsDir }, readyWithinMs: 120_000 });
}, 150_000);
afterAll(async () => {
  await cluster?.destroy();
  rmSync(tlsDir, { recursive: true });
});

const LONG_MS = 60_000;

async function status(): Promise<AgentStatus> {
  let found: AgentStatus | undefined;
  await cluster.until('the agent answers', async () => (found = await cluster.writer.status()) !== undefined, LONG_MS);
  if (found === undefined) throw new Error('unreachable');
  return found;
}

async function untilSettings(state: 'applied' | 'refused'): Promise<AgentStatus> {
  // What it said of the set before must not count.
  await cluster.until(
    `settings are ${state}`,
    async () => {
      const { settings, phase } = await status();
      return settings.state === state && settings.wanted === cluster.settingsFingerprint() && phase === 'running';
    },
    LONG_MS,
  );
  return status();
}

async function show(name: string): Promise<string | undefined> {
  const { rows } = await cluster.query<{ value: string }>('select current_setting($1) as value', [name]);
  return rows[0]?.value;
}

async function startedAt(password = 'e2e-password'): Promise<string> {
  const client = await cluster.connect(cluster.writer, { password });
  const { rows } = await client.query<{ at: string }>('select pg_postmaster_start_time()::text as at');
  await client.end();
  return rows[0]?.at ?? '';
}

test('what needs no restart is in effect without one', async () => {
  const { epoch } = await untilSettings('applied');
  const before = await startedAt();
  cluster.setParameters({ shared_buffers: '32MB', work_mem: '7MB' });
  const after = await untilSettings('applied');
  expect(await show('work_mem')).toBe('7MB');
  expect(after.epoch).toBe(epoch);
  expect(await startedAt()).toBe(before);
});

test('what PostgreSQL refuses changes nothing, takes no epoch and is told in its own words', async () => {
  const { epoch } = await status();
  const before = await startedAt();
  for (const [parameters, words] of [
    [{ shared_buffers: '32MB', work_mem: 'banana' }, 'invalid value for parameter "work_mem": "banana"'],
    [{ shared_buffers: '32MB', work_memory: '1MB' }, 'unrecognized configuration parameter "work_memory"'],
    [{ shared_preload_libraries: 'nowhere' }, 'could not access file "nowhere": No such file or directory'],
    [{ shared_buffers: '900GB' }, 'shared memory would take'],
    [{ fsync: 'off' }, "PostgreSQL parameter 'fsync' is set by kube-aurora"],
  ] as const) {
    cluster.setParameters(parameters);
    expect((await untilSettings('refused')).settings.message).toContain(words);
  }
  expect(await show('work_mem')).toBe('7MB');
  expect(await startedAt()).toBe(before);
  expect((await status()).epoch).toBe(epoch);
});

type Pki = Awaited<ReturnType<typeof testPki>>;

function mount({ certificate, key, clientCa }: Pki['pair']): void {
  writeFileSync(join(tlsDir, 'tls.crt'), certificate);
  writeFileSync(join(tlsDir, 'tls.key'), key);
  writeFileSync(join(tlsDir, 'ca.crt'), clientCa ?? '');
}

/** One statement of a client that believes only this authority, as with sslmode=verify-full. */
async function verified({ authority }: Pki, ssl: { readonly cert?: string; readonly key?: string } = {}): Promise<unknown> {
  const client = await cluster.connect(cluster.writer, { ssl: { ca: authority.certificate, ...ssl } });
  const { rows } = await client.query('select ssl, version from pg_stat_ssl where pid = pg_backend_pid()');
  await client.end();
  return rows[0];
}

/** Is the client let in that believes this authority alone? */
function shows(pki: Pki, ssl: Parameters<typeof verified>[1] = {}): Promise<boolean> {
  return verified(pki, ssl).then(
    () => true,
    () => false,
  );
}

test('a certificate is shown, and another one, without a restart; sessions go on, and damage leaves the one before', async () => {
  const before = await startedAt();
  expect((await status()).tls).toEqual({ state: 'plain', message: 'there is no tls.crt' });
  const [first, second] = await Promise.all([testPki([cluster.writer.host]), testPki([cluster.writer.host])]);
  mount(first.pair);
  await cluster.until('the first is shown', () => shows(first), LONG_MS);
  expect(await verified(first)).toEqual({ ssl: true, version: 'TLSv1.3' });
  const session = await cluster.connect(cluster.writer, { ssl: { ca: first.authority.certificate } });
  mount({ ...second.pair, key: first.pair.key });
  await cluster.until('it is told', async () => (await status()).tls?.message.startsWith('tls.key is not the key') === true, LONG_MS);
  expect([await shows(first), await shows(second)]).toEqual([true, false]);
  mount(second.pair);
  await cluster.until('the second is shown', () => shows(second), LONG_MS);
  await cluster.until('all is well', async () => (await status()).tls?.message === '', LONG_MS);
  expect(await shows(first)).toBe(false);
  expect((await session.query('select 1')).rowCount).toBe(1);
  await session.end();
  expect(await startedAt()).toBe(before);
}, 90_000);

test('who may log in changes without a restart, and what PostgreSQL refuses changes nothing', async () => {
  const before = await startedAt();
  const pki = await testPki([cluster.writer.host]);
  mount(pki.pair);
  const untilRules = (wanted: string, state: string): Promise<void> =>
    cluster.until(`they are ${state}`, async () => {
      const { loginRules } = await status();
      return loginRules.wanted === wanted && loginRules.state === state;
    });
  const applied = cluster.setRules('hostnossl all all all reject', 'hostssl all app all cert');
  await untilRules(applied, 'applied');
  const login = await testLogin(pki.authority, 'app');
  await cluster.until('the certificate is shown', () => shows(pki, login), LONG_MS);
  await expect(cluster.connect()).rejects.toThrow(/pg_hba.conf rejects connection .* no encryption/);
  await expect(verified(pki)).rejects.toThrow('connection requires a valid client certificate');
  await expect(verified(pki, await testLogin(pki.authority, 'somebody'))).rejects.toThrow(
    'certificate authentication failed for user "app"',
  );
  const stranger = await testPki([]);
  await expect(verified(pki, await testLogin(stranger.authority, 'app'))).rejects.toThrow(/unknown ca|ECONNRESET|terminated/);
  expect(await verified(pki, login)).toMatchObject({ ssl: true });

  // What our own look at the manifest cannot see: a regular expression is PostgreSQL's to judge.
  const refused = cluster.setRules('host all all all scram-sha-256', 'host all /x( all reject');
  await untilRules(refused, 'refused');
  expect((await status()).loginRules).toMatchObject({
    running: applied,
    message: expect.stringMatching(/^line 2: invalid regular expression "x\("/) as string,
  });
  expect(await verified(pki, login)).toMatchObject({ ssl: true });
  await expect(verified(pki)).rejects.toThrow();
  await untilRules(cluster.setRules('hostssl all app all scram-sha-256 clientcert=verify-full'), 'applied');
  await expect(verified(pki)).rejects.toThrow('connection requires a valid client certificate');
  expect(await verified(pki, login)).toMatchObject({ ssl: true });
  await untilRules(cluster.setRules(), 'applied');
  expect(await startedAt()).toBe(before);
}, 90_000);

test('what needs a restart gets one, by itself', async () => {
  cluster.setParameters({ shared_buffers: '48MB', work_mem: '7MB', max_connections: '60' });
  await untilSettings('applied');
  await cluster.writerReady(LONG_MS);
  expect([await show('shared_buffers'), await show('max_connections')]).toEqual(['48MB', '60']);
}, 90_000);

test('a value that only the library which owns it can refuse is told', async () => {
  const library = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.max': 'banana', 'app.note': 'x' };
  cluster.setParameters({ shared_buffers: '48MB', ...library });
  const told = 'pg_stat_statements.max: the library that owns it refuses the value';
  await cluster.until('it is told', async () => (await status()).settings.message.startsWith(told), LONG_MS);
  cluster.setParameters({ shared_buffers: '48MB', work_mem: '7MB' });
  await untilSettings('applied');
  await cluster.until('all is well', async () => (await status()).settings.message === '', LONG_MS);
}, 120_000);

test('settings that pass the trial and fail at the start give way to those before', async () => {
  const before = BigInt((await status()).epoch);
  // Without reserved huge pages the trial cannot know: PostgreSQL asks for them when it starts.
  cluster.setParameters({ shared_buffers: '64MB', huge_pages: 'on' });
  const refused = await untilSettings('refused');
  expect(refused.settings.message).toContain('could not map anonymous shared memory');
  await cluster.writerReady(LONG_MS);
  expect([await show('shared_buffers'), await show('huge_pages')]).toEqual(['48MB', 'try']);
  expect(BigInt((await status()).epoch) - before).toBeLessThanOrEqual(2n);
}, 90_000);

test('a new pod that finds refused settings runs with those that were recorded as accepted', async () => {
  writeFileSync(join(cluster.settingsDir, 'accepted.json'), JSON.stringify({ shared_buffers: '40MB', work_mem: '9MB' }));
  cluster.setParameters({ work_mem: 'banana' });
  await cluster.writer.kill();
  cluster.writer.start();
  await cluster.writerReady(LONG_MS);
  const refused = await untilSettings('refused');
  expect(refused.settings.message).toContain('invalid value for parameter "work_mem"');
  expect([await show('shared_buffers'), await show('work_mem')]).toEqual(['40MB', '9MB']);
}, 90_000);

test('a changed password is applied to the running database; a missing or empty one changes nothing and keeps nobody down', async () => {
  const before = await startedAt();
  const login = async (password: string): Promise<void> => {
    const client = await cluster.connect(cluster.writer, { password });
    await client.end();
  };
  cluster.setPassword("it's another one");
  await cluster.until(
    'the new password is taken',
    () =>
      login("it's another one").then(
        () => true,
        () => false,
      ),
    LONG_MS,
  );
  await expect(login('e2e-password')).rejects.toThrow(/password authentication failed/);
  expect((await status()).passwords.map(({ role, state }) => [role, state])).toEqual([
    ['postgres', 'applied'],
    ['app', 'applied'],
  ]);
  expect((await status()).passwords[1]?.changedAt).toBeDefined();

  for (const [password, state] of [
    ['', 'empty'],
    [undefined, 'missing'],
  ] as const) {
    cluster.setPassword(password);
    await cluster.until(`it is ${state}`, async () => (await status()).passwords.every((each) => each.state === state), LONG_MS);
    await login("it's another one");
  }
  expect(await startedAt("it's another one")).toBe(before);

  // Nor does a writer that starts anew wait for it.
  await cluster.writer.kill();
  cluster.writer.start();
  await cluster.until(
    'it is up',
    () =>
      login("it's another one").then(
        () => true,
        () => false,
      ),
    LONG_MS,
  );
  cluster.setPassword('e2e-password');
  await cluster.until(
    'the old one is back',
    () =>
      login('e2e-password').then(
        () => true,
        () => false,
      ),
    LONG_MS,
  );
}, 120_000);

test('sessions that a cluster makes read-only and short do not keep the agent from its work', async () => {
  rmSync(join(cluster.settingsDir, 'accepted.json'));
  cluster.setParameters({ default_transaction_read_only: 'on', statement_timeout: '1ms', shared_buffers: '40MB' });
  await untilSettings('applied');
  cluster.setPassword('while read-only');
  await cluster.until('it is applied', async () => (await status()).passwords.every(({ state }) => state === 'applied'), LONG_MS);
  await cluster.until(
    'the password is taken',
    () =>
      cluster.connect(cluster.writer, { password: 'while read-only' }).then(
        async (client) => (await client.end(), true),
        () => false,
      ),
    LONG_MS,
  );
}, 120_000);
