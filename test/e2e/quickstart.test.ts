/**
 * What a newcomer does: start, connect, kill the writer, fail a zone, stop, start again. Real control plane, operator,
 * daemons and PostgreSQL, all as processes of this machine.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unzipEntry } from '../../scripts/kubectl.mjs';
import { Quickstart, REPOSITORY } from './quickstart-harness.ts';
import { secretEntries, secretsIn } from './secrets-in-logs.ts';

const quickstart = new Quickstart();
const run = (program: string, ...args: string[]) => quickstart.run(program, ...args);
const eventually = (sql: string) => quickstart.eventually(sql);

/** Logs in as a pod of the ServiceAccount `shop` does, at NAME-rw. */
async function byToken(): Promise<Client> {
  const password = run('kubectl', 'create', 'token', 'shop', '--audience', 'kube-aurora/default/demo', '--duration', '15m').output.trim();
  tokens.push(password);
  const host = run('kubectl', 'get', 'service', 'demo-rw', '-o', 'jsonpath={.spec.clusterIP}').output.trim();
  const ca = Buffer.from(run('kubectl', 'get', 'secret', 'demo-app', '-o', 'jsonpath={.data.ca\\.crt}').output.trim(), 'base64');
  const client = new Client({ host, port: 5433, user: 'app', database: 'app', password, ssl: { ca }, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
async function onceLetIn(): Promise<Client> {
  const clients: Client[] = [];
  await quickstart.until('a token is taken for a password', () =>
    byToken().then(
      (client) => clients.push(client) > 0,
      () => false,
    ),
  );
  const [client] = clients;
  if (client === undefined) throw new Error('nobody was let in');
  return client;
}
let session: Client;
const tokens: string[] = [];

beforeAll(() => quickstart.start());
afterAll(() => quickstart.destroy());

describe('npm start', () => {
  it('prints how to connect, and psql and kubectl work', async () => {
    expect(quickstart.printed).toMatch(
      /psql 'postgresql:\/\/app:[^@]+@127\.[\d.]+:5432\/app\?sslmode=verify-full&sslrootcert=\/[^' ]+\/ca\.crt'/,
    );
    expect(run('psql', '-A', '-t', '-c', 'select ssl from pg_stat_ssl where pid = pg_backend_pid()').output.trim()).toBe('t');
    expect(await eventually("create table kept (id int primary key, word text); insert into kept values (1, 'first')")).toBe('');
    await quickstart.until('all copies are up', () => /demo\s+\w+\s+demo-1\s+[12]\/2\s+6\/6/.test(run('kubectl', 'get', 'ac').output));
    expect(run('psql', '-c', 'selec 1').output).toMatch(/ERROR: {2}syntax error at or near "selec"\nLINE 1: selec 1\n {8}\^/);
  });

  it("takes a ServiceAccount's token for a password where the manifest says so, without a restart", async () => {
    run('kubectl', 'create', 'serviceaccount', 'shop');
    const pods = (): string => run('kubectl', 'get', 'pods', '-o', 'jsonpath={.items[*].metadata.uid}').output;
    const before = pods();
    const spec = { postgresql: { logins: [{ serviceAccount: 'shop', role: 'app' }] } };
    expect(run('kubectl', 'patch', 'ac', 'demo', '--type=merge', '-p', JSON.stringify({ spec })).output).toContain('patched');
    session = await onceLetIn();
    expect((await session.query('select current_user as me, pg_is_in_recovery() as reads')).rows).toEqual([{ me: 'app', reads: false }]);
    expect(run('kubectl', 'get', 'ac', 'demo', '-o', 'jsonpath={.status.tokenLogins.endpoint}').output.trim()).toBe(
      'demo-rw.default.svc:5433',
    );
    expect(pods()).toBe(before);
    const verdict = (): string =>
      run('kubectl', 'get', 'ac', 'demo', '-o', `jsonpath={.status.conditions[?(@.type=="TokenLoginsReady")].status}`).output.trim();
    await quickstart.until('the status says that tokens are taken', () => verdict() === 'True');
  });

  it('heals a killed writer and a failed zone, and loses nothing', async () => {
    const ended = new Promise((resolve) => session.once('end', resolve));
    run('kubectl', 'delete', 'pod', 'demo-1', '--grace-period=0', '--force');
    await eventually("insert into kept values (2, 'after the kill')");
    await ended;
    const again = await onceLetIn();
    expect((await again.query('select pg_is_in_recovery() as reads')).rows).toEqual([{ reads: false }]);
    await again.end();
    expect(run('zone', 'fail', 'zone-b').status).toBe(0);
    await eventually("insert into kept values (3, 'with a zone down')");
    expect(run('zone', 'restore', 'zone-b').status).toBe(0);
    expect(await eventually('select count(*) from kept')).toBe('3');
  });

  it('refuses a bad manifest and names the field', () => {
    const manifest = path.join(REPOSITORY, 'test/e2e/bad-cluster.yaml');
    const { status, output } = run('kubectl', 'apply', '-f', manifest);
    expect(status).not.toBe(0);
    expect(output).toContain('spec.instances');
    expect(output).toContain('spec.storage.size');
    // A rule in CEL: the definition that npm start applies is whole.
    const shrunk = run('kubectl', 'patch', 'ac', 'demo', '--type=merge', '-p', '{"spec":{"storage":{"size":"256Mi"}}}');
    expect(shrunk.status).not.toBe(0);
    expect(shrunk.output).toContain('spec.storage.size: Invalid value: "256Mi": volumes grow and never shrink');
    const renamed = run('kubectl', 'patch', 'ac', 'demo', '--type=merge', '-p', '{"spec":{"replicas":1}}');
    expect(renamed.output).toContain('spec.replicas: Forbidden: it was renamed: write spec.instances in its place');
    const none = run('kubectl', 'scale', 'ac', 'demo', '--replicas=0');
    expect(none.output).toContain('spec.instances: Invalid value: 0: a cluster has a writer at least: use 1 or more');
  });

  it('has kubectl aurora: how it is, a psql, and a switchover that is waited for', async () => {
    interface Told {
      readonly health: { readonly level: string };
      readonly status: { readonly writer: string; readonly instances: readonly { name: string; role: string; state: string }[] };
    }
    expect(run('kubectl', 'aurora', 'status', 'none')).toEqual({
      status: 1,
      output: 'Error from server (NotFound): auroraclusters.kube-aurora.dev "none" not found\n',
    });
    // The same file that kubectl has found by then.
    const aurora = (...args: string[]) => quickstart.runFile('dist/kubectl-aurora/kubectl-aurora', ...args);
    const told = (): Told => JSON.parse(aurora('status', '-o', 'json').output) as Told;
    await quickstart.until('kubectl aurora calls the cluster well', () => told().health.level === 'well');
    let page = '';
    await quickstart.until('its page says so', () => (page = aurora('status', 'demo').output).includes('\n✓ Ready for '));
    expect(page).toMatch(
      /^demo in namespace default, PostgreSQL 18\n✓ Ready for .*: reads and writes go on; all 6 copies are up, 2 of 2 instances serve\n/,
    );
    expect(page).toMatch(/zone-a {3}demo-storage-0 {3}full {3}✓ ready/);
    expect(aurora('psql', '--built-in', '--', '-Atc', 'select count(*) from kept')).toEqual({ status: 0, output: '3\n' });
    const { name = '' } = told().status.instances.find(({ role }) => role === 'reader') ?? {};
    expect(aurora('psql', '--token', '--built-in', '--', '-Atc', 'select current_user')).toEqual({ status: 0, output: 'app\n' });
    const switched = aurora('switchover', 'demo', name);
    expect(switched.output).toMatch(new RegExp(`${name} writes in the place of demo-\\d in .*\\n.*opened \\d+`));
    expect(told().status.writer).toBe(name);
    const report = path.join(quickstart.home, 'report.zip');
    expect(aurora('report', '--file', report).output).toMatch(/report\.zip: \d+ files, \d+ KiB; without the cluster’s passwords/);
    expect(unzipEntry(report, 'logs/demo-1.log').toString()).toContain('compute-agent');
    expect(unzipEntry(report, 'metrics/demo-storage-0.txt').toString()).toContain('aurora_storage_scl');
  }, 180_000);

  it('logs JSON as its schema says, PostgreSQL too, whatever clients call themselves, and no password', async () => {
    const aurora = (...args: string[]) => quickstart.runFile('dist/kubectl-aurora/kubectl-aurora', ...args);
    const password = 'Told-To-Nobody.1';
    const statement = `create role listed password '${password}'; select * from not_there`;
    expect(aurora('psql', '--superuser', '--built-in', '--', '-c', statement).output).toContain('not_there');
    expect(aurora('psql', '--superuser', '--built-in', '--', '-c', `alter role listed password ${password}`).output).toContain('syntax');
    const [, host = ''] = /@(127[\d.]+):5432/.exec(quickstart.printed) ?? [];
    const forged = '\nFATAL:  forged';
    for (const user of [forged, `${'ü'.repeat(40)}${forged}`]) {
      const client = new Client({ host, user, database: forged, password, ssl: { rejectUnauthorized: false } });
      await expect(client.connect()).rejects.toThrow('password authentication failed');
    }
    const isLine = new Ajv2020({ validateFormats: false }).compile(
      JSON.parse(readFileSync(path.join(REPOSITORY, 'docs/reference/log-line.schema.json'), 'utf8')) as object,
    );
    const pods = aurora('logs', 'demo', '-o', 'json', '--tail', '100000').output;
    const programs = ['operator', 'local-kube'].map((name) => readFileSync(path.join(quickstart.home, 'logs', `${name}.log`), 'utf8'));
    const all = [pods, ...programs].join('');
    expect(all).not.toContain(password);
    // Nor anything of the cluster's own, and no token that somebody logged in with.
    const secrets = secretEntries(run('kubectl', 'get', 'secrets', '-o', 'json').output);
    expect(Object.keys(secrets)).toEqual(expect.arrayContaining(['demo-app/password', 'demo-superuser/password']));
    const given = Object.fromEntries(tokens.map((token, index) => [`token ${index}`, Buffer.from(token)]));
    expect(Object.keys(given).length).toBeGreaterThan(1);
    expect(secretsIn(all, { ...secrets, ...given })).toEqual([]);
    const lines = all
      .split('\n')
      .filter((line) => line !== '')
      .map(
        (line) =>
          JSON.parse(line) as {
            component: string;
            instance?: string;
            epoch?: string;
            request?: string;
            msg: string;
            postgres?: { sqlState: string; user?: string };
          },
      );
    for (const line of lines) expect(isLine(line), `${JSON.stringify(line)}: ${JSON.stringify(isLine.errors)}`).toBe(true);
    expect([...new Set(lines.map(({ component }) => component))].toSorted()).toEqual([
      'compute-agent',
      'local-kube',
      'operator',
      'storage-daemon',
    ]);
    expect(lines.find(({ msg }) => msg.includes('"not_there"'))).toMatchObject({
      level: 'warn',
      cluster: 'default/demo',
      epoch: expect.stringMatching(/^\d+$/) as string,
      part: 'postgres',
      postgres: {
        severity: 'ERROR',
        sqlState: '42P01',
        user: 'postgres',
        database: 'postgres',
        statement: expect.stringContaining('not_there') as string,
      },
    });
    expect(lines.find(({ msg }) => msg.startsWith('syntax error at or near "***"'))).toMatchObject({
      postgres: { sqlState: '42601', statement: expect.stringMatching(/^alter role listed password \*\*\*/) as string },
    });
    // The switchover before: who asked, and who was asked; then who did what in the epoch that it began.
    const { status } = JSON.parse(run('kubectl', 'get', 'ac', 'demo', '-o', 'json').output) as {
      status: { epoch: number; writer: string; switchover: { startedAt: string } };
    };
    const asked = lines.filter(({ request }) => request === status.switchover.startedAt);
    expect([...new Set(asked.map(({ component }) => component))].toSorted()).toEqual(['compute-agent', 'operator']);
    const ofEpoch = lines.filter(({ epoch }) => epoch === String(status.epoch));
    expect(new Set(ofEpoch.filter(({ msg }) => msg === 'promised an epoch').map(({ instance }) => instance)).size).toBeGreaterThan(3);
    expect(ofEpoch.find(({ msg }) => msg === 'PostgreSQL was promoted')).toMatchObject({
      component: 'compute-agent',
      instance: status.writer,
    });
    expect(ofEpoch.find(({ msg }) => msg.includes(`${status.writer} writes in the place of`))).toMatchObject({ component: 'operator' });
    expect(lines.filter(({ msg }) => msg === 'forged')).toEqual([]);
    expect(lines.filter(({ postgres }) => postgres?.sqlState === '28P01' && postgres.user?.includes('forged'))).not.toHaveLength(0);
  });

  it('deletes no cluster that is protected, and says what to set', () => {
    const { status, output } = run('kubectl', 'delete', 'ac', 'demo');
    expect(status).not.toBe(0);
    const patch = `kubectl patch auroracluster demo -n default --type merge -p '{"spec":{"deletionProtection":false}}'`;
    expect(output).toContain('auroraclusters.kube-aurora.dev "demo" is forbidden: ValidatingAdmissionPolicy');
    expect(output).toContain(`so that nobody deletes a database by accident; to let it go: ${patch}`);
    expect(run('kubectl', 'patch', 'ac', 'demo', '--type=merge', '-p', '{"spec":{"deletionProtection":false}}').status).toBe(0);
  });

  it('deletes a cluster in seconds, writer first, and finds its data when it is made anew', () => {
    const begun = performance.now();
    expect(run('kubectl', 'delete', 'ac', 'demo').output).toContain('deleted');
    // In the other order PostgreSQL would wait 25 s for storage that is gone.
    expect(performance.now() - begun).toBeLessThan(25_000);
    expect(run('kubectl', 'get', 'pod', 'demo-1').output).toContain('not found');
    expect(run('kubectl', 'apply', '-f', path.join(quickstart.root, 'deploy/samples/demo.yaml')).output).toContain('created');
    return expect(eventually('select count(*) from kept')).resolves.toBe('3');
  });

  const pidOf = (name: string): number =>
    (JSON.parse(readFileSync(path.join(quickstart.home, 'run', `${name}.json`), 'utf8')) as { pid: number }).pid;
  const until = (holds: () => boolean) => quickstart.until('it did not come', holds);

  it('brings local-kube and the operator back when they are killed', async () => {
    for (const name of ['local-kube', 'operator']) {
      const pid = pidOf(name);
      process.kill(pid, 'SIGKILL');
      await until(() => quickstart.printed.includes(`${name} was ended by SIGKILL; it is started again`));
      await until(() => existsSync(path.join(quickstart.home, 'run', `${name}.json`)) && pidOf(name) !== pid);
    }
    expect(await eventually('select count(*) from kept')).toBe('3');
    // The same kubeconfig still works, and somebody heals.
    await until(() => run('kubectl', 'delete', 'pod', 'demo-1', '--grace-period=0', '--force').status === 0);
    await eventually("insert into kept values (4, 'after everything was killed')");
  });

  it('ends what an npm start that was killed has left, and goes on', async () => {
    const left = ['local-kube', 'operator'].map(pidOf);
    await quickstart.end('SIGKILL');
    // Nobody minds the programs, and the database answers all the same.
    expect(await eventually('select count(*) from kept')).toBe('4');
    await quickstart.start();
    for (const pid of left) expect(quickstart.printed).toContain(`(process ${pid}) of an npm start that was killed has been stopped`);
    expect(await eventually('select count(*) from kept')).toBe('4');
  });

  it('stops at Ctrl-C and finds its data at the next start', async () => {
    await quickstart.stop();
    expect(quickstart.printed).toContain("Stopped. 'npm start' finds everything again.");
    await quickstart.start();
    expect(await eventually('select count(*) from kept')).toBe('4');
  });

  it('says, while one waits, which pods do not stay up and why', async () => {
    await quickstart.stop();
    const images = path.join(quickstart.home, 'images.json');
    const script = "console.error('the disk is not there'); process.exit(66)";
    const own = JSON.parse(readFileSync(path.join(quickstart.root, 'local-kube/images.json'), 'utf8')) as object;
    writeFileSync(images, JSON.stringify({ ...own, 'kube-aurora/storage-daemon': { command: ['{node}', '-e', script] } }));
    await quickstart.start('ended with code 66', { env: { LOCAL_KUBE_IMAGES: images } });
    expect(quickstart.printed).toMatch(/! demo-storage-\d ended with code 66: the disk is not there/);
  });
});
