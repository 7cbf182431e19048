/**
 * `npm start` on a copy of the sources, for tests: real control plane, operator, daemons and PostgreSQL, all as
 * processes of this machine.
 *
 *   const quickstart = new Quickstart();
 *   await quickstart.start();
 *   quickstart.run('kubectl', 'get', 'ac');
 *   await quickstart.destroy();
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, globSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
/** Where checkouts are, there are such names; everything of ours runs from a copy there. */
const AWKWARD = 'Ünï cödé dir';
export const READY_WITHIN_MS = 120_000;

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

export interface StartOptions {
  readonly arguments?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly withinMs?: number;
}

export class Quickstart {
  /** The copy of the sources. */
  readonly root: string;
  readonly home: string;
  /** What the `npm start` that runs now has printed. */
  printed = '';
  readonly #place: string;
  #running: ChildProcess | undefined;

  constructor() {
    this.#place = mkdtempSync(path.join(tmpdir(), 'ka-home-'));
    chmodSync(this.#place, 0o711);
    this.root = copyCheckout(path.join(this.#place, AWKWARD));
    this.home = path.join(this.#place, AWKWARD, 'home');
  }

  #environment(): NodeJS.ProcessEnv {
    const { KUBECONFIG: _other, ...env } = process.env;
    return { ...env, KUBE_AURORA_HOME: this.home, LOCAL_KUBE_PORT: '0', NODE_NO_WARNINGS: '1' };
  }

  /** Starts and waits until `until` was printed. */
  async start(until = 'Ctrl-C stops everything', options: StartOptions = {}): Promise<void> {
    this.printed = '';
    const child = spawn(process.execPath, ['packages/quickstart/src/start.ts', ...(options.arguments ?? [])], {
      cwd: this.root,
      env: { ...this.#environment(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (this.printed += chunk.toString()));
    const end = performance.now() + (options.withinMs ?? READY_WITHIN_MS);
    while (!this.printed.includes(until)) {
      if (child.exitCode !== null || performance.now() > end) throw new Error(`npm start did not come up; it printed:\n${this.printed}`);
      await delay(100);
    }
  }

  /** As Ctrl-C does. */
  async stop(): Promise<void> {
    await this.end('SIGINT');
  }

  /** Ends `npm start` itself by a signal, and waits for that. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#running;
    this.#running = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await exited;
  }

  async destroy(): Promise<void> {
    await this.stop();
    rmSync(this.#place, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Runs one of the commands beside `npm start`: psql, kubectl, zone. */
  run(program: string, ...args: string[]): { status: number | null; output: string } {
    return this.runFile(`packages/quickstart/src/${program}.ts`, ...args);
  }

  /** Runs a program of the copy, by its file; it is pointed at this system. */
  runFile(file: string, ...args: string[]): { status: number | null; output: string } {
    const result = spawnSync(process.execPath, [file, ...args], {
      cwd: this.root,
      env: { ...this.#environment(), KUBECONFIG: path.join(this.home, 'kubeconfig') },
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status: result.status, output: `${result.stdout}${result.stderr}` };
  }

  /** Runs a statement until it succeeds: what an application with retries sees. */
  async eventually(sql: string, withinMs = 60_000): Promise<string> {
    const end = performance.now() + withinMs;
    for (;;) {
      const { status, output } = this.run('psql', '-A', '-t', '-c', sql);
      if (status === 0) return output.trim();
      if (performance.now() > end) throw new Error(`'${sql}' did not succeed within ${withinMs} ms: ${output}`);
      await delay(200);
    }
  }

  /** Waits for something to become true. */
  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = READY_WITHIN_MS): Promise<void> {
    const end = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > end) throw new Error(`${what}: not within ${withinMs} ms; npm start printed:\n${this.printed}`);
      await delay(100);
    }
  }
}
