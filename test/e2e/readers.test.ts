/** A cluster with readers, as its users meet it: real control plane, operator, daemons and PostgreSQL. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client, type ClientConfig } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Quickstart } from './quickstart-harness.ts';
import { systemProcesses } from './system-processes.ts';

const MANIFEST = `
apiVersion: kube-aurora.dev/v1alpha1
kind: AuroraCluster
metadata: { name: demo, namespace: default }
spec:
  instances: 2
  storage: { size: 1Gi }
`;

const quickstart = new Quickstart();
const READERS = ['get', 'pods', '-l', 'kube-aurora.dev/role=reader', '-o', 'jsonpath={.items[*].metadata.name}'];
const kubectl = (...args: string[]) => quickstart.run('kubectl', ...args).output.trim();
const jsonpath = (path: string) => kubectl('get', 'ac', 'demo', '-o', `jsonpath={${path}}`);
const served = (summary: string, readers: string) =>
  quickstart.until(
    `${summary} instances, ${readers} for reads`,
    () => jsonpath('.status.compute.summary') === summary && jsonpath('.status.compute.readOnly[*]') === readers,
  );

const SWITCHOVER_TO = 'kube-aurora.dev/switchover-to';
const writer = () => jsonpath('.status.writer');
const annotate = (to: string) => kubectl('annotate', 'ac', 'demo', `${SWITCHOVER_TO}=${to}`);

async function switchOver(to: string): Promise<void> {
  await quickstart.until(`${to} serves reads`, () => jsonpath('.status.compute.readOnly[*]') === to);
  annotate(to);
  await quickstart.until(
    `${to} was made the writer`,
    () => jsonpath('.status.switchover.to') === to && jsonpath('.status.switchover.state') === 'Done' && writer() === to,
  );
}

const addressOf = (endpoint: 'rw' | 'ro' | 'r') => kubectl('get', 'service', `demo-${endpoint}`, '-o', 'jsonpath={.spec.clusterIP}');
/** One of the system's programs stands still, or goes on. */
const signalProgram = (program: 'operator' | 'local-kube', signal: 'SIGSTOP' | 'SIGCONT'): void => {
  const pids = systemProcesses(quickstart.home, `${program}/src/main.ts`);
  expect(pids.length).toBeGreaterThan(0);
  for (const pid of pids) process.kill(pid, signal);
};
const signalOperator = (signal: 'SIGSTOP' | 'SIGCONT'): void => signalProgram('operator', signal);
const ipOf = (pod: string) => kubectl('get', 'pod', pod, '-o', 'jsonpath={.status.podIP}');

/** How an application logs in, as sslmode=verify-full has it by the name of a Service. */
function login(): ClientConfig {
  const field = (key: string): string =>
    Buffer.from(kubectl('get', 'secret', 'demo-app', '-o', `jsonpath={.data.${key}}`), 'base64').toString();
  const ssl = { ca: field('ca\\.crt'), servername: 'demo-rw.default.svc' };
  return { user: field('username'), password: field('password'), database: field('dbname'), ssl };
}

/** Events are written after the status that they tell of. */
const told = (...reasons: string[]): Promise<void> =>
  quickstart.until(`it is told: ${reasons.join()}`, () => {
    const events = kubectl('get', 'events', '-o', 'jsonpath={.items[*].reason}');
    return reasons.every((reason) => events.includes(reason));
  });

/** A connection through a Service, as an application has it, or to an address. */
async function connect(endpoint: 'rw' | 'ro' | 'r', host = addressOf(endpoint)): Promise<Client> {
  return connectTo({ ...login(), host });
}

async function connectTo(options: ClientConfig): Promise<Client> {
  const client = new Client(options);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** One statement through a Service; its first column of its first row. */
async function ask(endpoint: 'rw' | 'ro' | 'r', sql: string): Promise<unknown> {
  const client = await connect(endpoint);
  try {
    return Object.values((await client.query<Record<string, unknown>>(sql)).rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  const manifest = path.join(quickstart.root, 'with-readers.yaml');
  writeFileSync(manifest, MANIFEST);
  await quickstart.start(undefined, { arguments: [manifest] });
  await served('2/2', 'demo-2');
});
afterAll(() => quickstart.destroy());

describe('a cluster with readers', () => {
  it('shows on NAME-ro what was committed on NAME-rw, and takes no writes there', async () => {
    await quickstart.eventually("create table seen (id int primary key, word text); insert into seen values (1, 'first')");
    const reader = await connect('ro');
    await quickstart.until('the reader shows the table', async () => {
      const { rows } = await reader.query<{ there: boolean }>("select to_regclass('seen') is not null as there");
      return rows[0]?.there === true;
    });
    await quickstart.until('the reader shows the row', async () => (await reader.query('select * from seen where id = 1')).rowCount === 1);
    expect(await ask('ro', 'select pg_is_in_recovery()')).toBe(true);
    await expect(reader.query("insert into seen values (2, 'refused')")).rejects.toThrow(/read-only transaction/);
    await reader.end();
    // A daemon that a busy machine keeps from its turn for seconds is called down for that long.
    await quickstart.until('all is well', () => /demo\s+Ready\s+demo-1\s+2\/2\s+6\/6/.test(kubectl('get', 'ac')));
    expect(kubectl(...READERS)).toBe('demo-2');
  });

  it('keeps sessions of readers alive when the writer dies, and they see what follows', async () => {
    const reader = await connect('ro');
    const pid = async () => (await reader.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
    const before = await pid();
    kubectl('delete', 'pod', 'demo-1', '--grace-period=0', '--force');
    await quickstart.eventually("insert into seen values (3, 'after the kill')");
    await quickstart.until('the reader shows the row', async () => (await reader.query('select * from seen where id = 3')).rowCount === 1);
    expect(await pid()).toBe(before);
    await reader.end();
  });

  it('takes another promotion tier and time of failover while it runs: no session ends', async () => {
    await quickstart.until('both serve', () => jsonpath('.status.compute.summary') === '2/2');
    const heir = writer() === 'demo-1' ? 2 : 1;
    const session = await connect('ro');
    const spec = { failover: { after: '3s' }, instanceOverrides: [{ instance: heir, promotionTier: 0 }] };
    kubectl('patch', 'ac', 'demo', '--type=merge', '-p', JSON.stringify({ spec }));
    await quickstart.until('its agent has it', () => jsonpath(`.status.instances[?(@.name=="demo-${heir}")].promotionTier`) === '0');
    await session.query('select 1');
    await session.end();
    kubectl('patch', 'ac', 'demo', '--type=merge', '-p', JSON.stringify({ spec: { failover: null, instanceOverrides: null } }));
  });

  it('replaces a lost writer while no operator runs, which finds the new one when it is back', async () => {
    await quickstart.until('both serve', () => jsonpath('.status.compute.summary') === '2/2');
    const old = writer();
    const heir = old === 'demo-1' ? 'demo-2' : 'demo-1';
    const session = await connect('ro', kubectl('get', 'pod', heir, '-o', 'jsonpath={.status.podIP}'));
    signalOperator('SIGSTOP');
    try {
      kubectl('delete', 'pod', old, '--grace-period=0', '--force');
      await quickstart.until('the reader takes writes, on the session that it had', async () => {
        const { rows } = await session.query<{ reads: boolean }>('select pg_is_in_recovery() as reads');
        return rows[0]?.reads === false;
      });
      await session.query("insert into seen values (5, 'without an operator')");
      expect(writer()).toBe(old);
    } finally {
      signalOperator('SIGCONT');
      await session.end();
    }
    await quickstart.until('the operator has found it', () => writer() === heir && jsonpath('.status.failover.to') === heir);
    expect(jsonpath('.status.failover.from')).toBe(old);
    expect(Number(jsonpath('.status.failover.phases.readyMs'))).toBeGreaterThanOrEqual(0);
    await quickstart.eventually("insert into seen values (6, 'through the Service')");
    expect(await ask('rw', 'select count(*)::int from seen where id in (3, 5, 6)')).toBe(3);
    await told('FailedOver');
    await served('2/2', old);
  });

  it('leads clients of NAME-rw to the new writer by the pod of the old one, while nobody moves NAME-rw', async () => {
    await quickstart.until('both serve', () => jsonpath('.status.compute.summary') === '2/2');
    const old = writer();
    const [oldIp, heirIp] = [ipOf(old), ipOf(old === 'demo-1' ? 'demo-2' : 'demo-1')];
    const status = async () =>
      (await fetch(`http://${oldIp}:7003/status`)).json() as Promise<{ role: string; phase: string; postgres: { pid: number } }>;
    const who = 'select host(inet_server_addr()) as host, pg_is_in_recovery() as reads';
    const isNew = [{ host: heirIp, reads: false }];
    const byService = { ...login(), host: addressOf('rw') };
    signalOperator('SIGSTOP');
    try {
      process.kill((await status()).postgres.pid, 'SIGKILL');
      await quickstart.until('the old writer is a reader, and NAME-rw leads there', async () => {
        const { role, phase } = await status();
        return role === 'reader' && phase === 'running' && kubectl('get', 'endpoints', 'demo-rw').includes(`${oldIp}:5435`);
      });
      await quickstart.until('a client of NAME-rw is at the new writer', async () => {
        const client = await connectTo(byService).catch(() => undefined);
        if (client === undefined) return false;
        expect((await client.query(who)).rows).toEqual(isNew);
        await client.query("insert into seen values (7, 'by the old one')");
        await client.end();
        return true;
      });
      signalProgram('local-kube', 'SIGSTOP');
      // The Service itself is a part of what stands still here: this is where it leads to.
      const client = await connectTo({ ...byService, host: oldIp, port: 5435 });
      expect((await client.query(who)).rows).toEqual(isNew);
      await client.query("insert into seen values (8, 'without a control plane')");
      await client.end();
      const reader = await connectTo({ ...byService, host: oldIp });
      expect((await reader.query(who)).rows).toEqual([{ host: oldIp, reads: true }]);
      await reader.end();
    } finally {
      signalProgram('local-kube', 'SIGCONT');
      signalOperator('SIGCONT');
    }
    await quickstart.until('the operator has found it', () => writer() !== old);
    await served('2/2', old);
    expect(await ask('rw', 'select count(*)::int from seen where id in (7, 8)')).toBe(2);
  });

  it('makes the instance the writer that an annotation names, and says why another cannot be it', async () => {
    await switchOver(writer() === 'demo-1' ? 'demo-2' : 'demo-1');
    if (writer() !== 'demo-2') await switchOver('demo-2');
    await quickstart.eventually("insert into seen values (4, 'after the switchover')");
    expect(await ask('rw', 'select count(*)::int from seen where id in (1, 4)')).toBe(2);
    await served('2/2', 'demo-1');
    annotate('demo-2');
    await quickstart.until('it is refused', () => jsonpath('.status.switchover.message') === 'demo-2 is the writer already');
    await quickstart.until('its annotation is gone', () => !jsonpath('.metadata.annotations').includes(SWITCHOVER_TO));
    await told('SwitchoverStarted', 'SwitchedOver', 'SwitchoverRefused');
  });

  it('adds and removes readers by kubectl scale, never the writer, and NAME-ro leads to that when there is none', async () => {
    expect(kubectl('scale', 'ac', 'demo', '--replicas=3')).toContain('scaled');
    await served('3/3', 'demo-1 demo-3');
    await told('ReaderReady');
    expect(kubectl('scale', 'ac', 'demo', '--replicas=1')).toContain('scaled');
    await served('1/1', 'demo-2');
    await quickstart.until('the readers are gone', () => kubectl(...READERS) === '');
    await quickstart.until('NAME-ro is the writer', async () => (await ask('ro', 'select pg_is_in_recovery()')) === false);
    expect(kubectl('scale', 'ac', 'demo', '--replicas=17')).toContain('spec.instances: Invalid value: 17');
  });

  it('adds a reader for many connections, and takes it away after them, its sessions given time', async () => {
    const autoscaling = { maxInstances: 3, target: { connections: 4 }, scaleOutCooldown: '1s', scaleInCooldown: '4s' };
    expect(kubectl('patch', 'ac', 'demo', '--type=merge', '-p', JSON.stringify({ spec: { autoscaling } }))).toContain('patched');
    await served('2/2', 'demo-1');
    const sessions = await Promise.all(Array.from({ length: 7 }, () => connect('ro')));
    await served('3/3', 'demo-1 demo-3');
    expect(jsonpath('.status.autoscaling.lastScaling')).toContain('2 instances become 3: a reader has');
    expect(jsonpath('.spec.instances')).toBe('1');
    expect(kubectl('scale', 'ac', 'demo', '--replicas=4')).toContain('instances must not be above autoscaling.maxInstances');

    const kept = await connect('ro', kubectl('get', 'pod', 'demo-3', '-o', 'jsonpath={.status.podIP}'));
    await Promise.all(sessions.map((session) => session.end()));
    await quickstart.until('it leaves', () => jsonpath('.status.compute.leaving[*]') === 'demo-3');
    expect(jsonpath('.status.compute.readOnly[*]')).toBe('demo-1');
    // Whoever is on it still is served.
    await kept.query('select 1');
    await kept.end();
    await quickstart.until('it is gone', () => !kubectl('get', 'pods', '-o', 'name').includes('demo-3'));
    expect(jsonpath('.status.autoscaling.desiredInstances')).toBe('2');
    await told('ScaledOut', 'ReaderLeaving', 'RemovingReader', 'ScaledIn');
  }, 150_000);
});
