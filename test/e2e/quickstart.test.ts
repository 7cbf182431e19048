/**
 * What a newcomer does: start, connect, kill the writer, fail a zone, stop, start again. Real control plane, operator,
 * daemons and PostgreSQL, all as processes of this machine.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** Where checkouts are, there are such names; everything of ours runs from a copy there. */
const AWKWARD = 'Ünï cödé dir';
const READY_WITHIN_MS = 120_000;

let place: string;
let home: string;
let ROOT: string;
let running: ChildProcess | undefined;
let printed = '';

/** The sources, with the installed packages linked to. */
function copyCheckout(directory: string): string {
  const target = path.join(directory, 'kube-aurora');
  const left = new Set(['.git', '.kube-aurora', 'docs', 'test']);
  cpSync(REPOSITORY, target, {
    recursive: true,
    filter: (from) => path.basename(from) !== 'node_modules' && !left.has(path.relative(REPOSITORY, from)),
  });
  for (const installed of globSync('{.,*,packages/*}/node_modules', { cwd: REPOSITORY }))
    if (existsSync(path.dirname(path.join(target, installed)))) symlinkSync(path.join(REPOSITORY, installed), path.join(target, installed));
  return target;
}

function environment(): NodeJS.ProcessEnv {
  const { KUBECONFIG: _other, ...env } = process.env;
  return { ...env, KUBE_AURORA_HOME: home, LOCAL_KUBE_PORT: '0', NODE_NO_WARNINGS: '1' };
}

/** Starts and waits until `until` was printed. */
async function start(
  until = 'Ctrl-C stops everything',
  options: { readonly arguments?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  printed = '';
  const child = spawn(process.execPath, ['packages/quickstart/src/start.ts', ...(options.arguments ?? [])], {
    cwd: ROOT,
    env: { ...environment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const end = performance.now() + READY_WITHIN_MS;
  while (!printed.includes(until)) {
    if (child.exitCode !== null || performance.now() > end) throw new Error(`npm start did not come up; it printed:\n${printed}`);
    await delay(100);
  }
}

async function stop(): Promise<void> {
  const child = running;
  running = undefined;
  if (child === undefined || child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGINT');
  await exited;
}

function run(program: string, ...args: string[]): { status: number | null; output: string } {
  const result = spawnSync(process.execPath, [`packages/quickstart/src/${program}.ts`, ...args], {
    cwd: ROOT,
    env: environment(),
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** Runs a statement until it succeeds: what an application with retries sees. */
async function eventually(sql: string, withinMs = 60_000): Promise<string> {
  const end = performance.now() + withinMs;
  for (;;) {
    const { status, output } = run('psql', '-A', '-t', '-c', sql);
    if (status === 0) return output.trim();
    if (performance.now() > end) throw new Error(`'${sql}' did not succeed within ${withinMs} ms: ${output}`);
    await delay(200);
  }
}

beforeAll(async () => {
  place = mkdtempSync(path.join(tmpdir(), 'ka-home-'));
  chmodSync(place, 0o711);
  ROOT = copyCheckout(path.join(place, AWKWARD));
  home = path.join(place, AWKWARD, 'home');
  await start();
});

afterAll(async () => {
  await stop();
  rmSync(place, { recursive: true, force: true, maxRetries: 5 });
});

describe('npm start', () => {
  it('prints how to connect, and psql and kubectl work', async () => {
    expect(printed).toMatch(/psql 'postgresql:\/\/app:[^@]+@127\.[\d.]+:5432\/app'/);
    expect(await eventually("create table kept (id int primary key, word text); insert into kept values (1, 'first')")).toBe('');
    expect(run('kubectl', 'get', 'ac').output).toMatch(/demo\s+Ready\s+demo-1\s+1\/1\s+6\/6/);
    expect(run('psql', '-c', 'selec 1').output).toMatch(/ERROR: {2}syntax error at or near "selec"\nLINE 1: selec 1\n {8}\^/);
  });

  it('heals a killed writer and a failed zone, and loses nothing', async () => {
    run('kubectl', 'delete', 'pod', 'demo-1', '--grace-period=0', '--force');
    await eventually("insert into kept values (2, 'after the kill')");
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

  it('deletes a cluster in seconds, writer first, and finds its data when it is made anew', () => {
    const begun = performance.now();
    expect(run('kubectl', 'delete', 'ac', 'demo').output).toContain('deleted');
    expect(performance.now() - begun).toBeLessThan(15_000);
    expect(run('kubectl', 'get', 'pod', 'demo-1').output).toContain('not found');
    expect(run('kubectl', 'apply', '-f', path.join(ROOT, 'deploy/samples/demo.yaml')).output).toContain('created');
    return expect(eventually('select count(*) from kept')).resolves.toBe('3');
  });

  const pidOf = (name: string): number => (JSON.parse(readFileSync(path.join(home, 'run', `${name}.json`), 'utf8')) as { pid: number }).pid;
  const until = async (holds: () => boolean): Promise<void> => {
    const end = performance.now() + READY_WITHIN_MS;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`it did not come; npm start printed:\n${printed}`);
      await delay(100);
    }
  };

  it('brings local-kube and the operator back when they are killed', async () => {
    for (const name of ['local-kube', 'operator']) {
      const pid = pidOf(name);
      process.kill(pid, 'SIGKILL');
      await until(() => printed.includes(`${name} was ended by SIGKILL; it is started again`));
      await until(() => existsSync(path.join(home, 'run', `${name}.json`)) && pidOf(name) !== pid);
    }
    expect(await eventually('select count(*) from kept')).toBe('3');
    // The same kubeconfig still works, and somebody heals.
    await until(() => run('kubectl', 'delete', 'pod', 'demo-1', '--grace-period=0', '--force').status === 0);
    await eventually("insert into kept values (4, 'after everything was killed')");
  });

  it('ends what an npm start that was killed has left, and goes on', async () => {
    const left = ['local-kube', 'operator'].map(pidOf);
    const exited = new Promise((resolve) => running?.once('exit', resolve));
    running?.kill('SIGKILL');
    await exited;
    // Nobody minds the programs, and the database answers all the same.
    expect(await eventually('select count(*) from kept')).toBe('4');
    await start();
    for (const pid of left) expect(printed).toContain(`(process ${pid}) of an npm start that was killed has been stopped`);
    expect(await eventually('select count(*) from kept')).toBe('4');
  });

  it('stops at Ctrl-C and finds its data at the next start', async () => {
    await stop();
    expect(printed).toContain("Stopped. 'npm start' finds everything again.");
    await start();
    expect(await eventually('select count(*) from kept')).toBe('4');
  });

  it('says, while one waits, which pods do not stay up and why', async () => {
    await stop();
    const images = path.join(home, 'images.json');
    const script = "console.error('the disk is not there'); process.exit(66)";
    const own = JSON.parse(readFileSync(path.join(ROOT, 'local-kube/images.json'), 'utf8')) as object;
    writeFileSync(images, JSON.stringify({ ...own, 'kube-aurora/storage-daemon': { command: ['{node}', '-e', script] } }));
    await start('ended with code 66', { env: { LOCAL_KUBE_IMAGES: images } });
    expect(printed).toMatch(/! demo-storage-\d ended with code 66: the disk is not there/);
  });
});
