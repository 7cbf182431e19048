/** A whole system as `npm start` makes it, in a home of its own, for commands that break parts of it. */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemProcesses } from '../e2e/system-processes.ts';
import type { LedgerConnection } from './ledger.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export class StartedSystem {
  /** Of the Service that leads to the writer. */
  readonly uri: string;
  /** Where its console is. */
  readonly consoleUrl: string;
  readonly #home: string;
  readonly #child: ChildProcess;

  private constructor(home: string, child: ChildProcess, uri: string, consoleUrl: string) {
    this.#home = home;
    this.#child = child;
    this.uri = uri;
    this.consoleUrl = consoleUrl;
  }

  /**
   * Throws with what it printed when it does not come up.
   * @param manifest of a cluster named demo, in place of the sample's
   */
  static async start(manifest?: string): Promise<StartedSystem> {
    const home = mkdtempSync(path.join(tmpdir(), 'ka-sys-'));
    // PostgreSQL runs as another account where we are root.
    chmodSync(home, 0o711);
    const child = spawn(process.execPath, ['packages/quickstart/src/start.ts', ...(manifest === undefined ? [] : [manifest])], {
      cwd: ROOT,
      env: environment(home),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    for (;;) {
      const uri = /psql '(postgresql:[^']+)'/.exec(printed)?.[1];
      const consoleUrl = /(http:\/\/127\.0\.0\.1:\d+\/)/.exec(printed)?.[1];
      if (uri !== undefined && consoleUrl !== undefined) return new StartedSystem(home, child, uri, consoleUrl);
      if (child.exitCode !== null) throw new Error(`npm start ended:\n${printed}`);
      await delay(100);
    }
  }

  /** How a client connects to that Service. */
  get service(): LedgerConnection {
    const { hostname, port, username, password, pathname } = new URL(this.uri);
    return { host: hostname, port: Number(port), user: username, password: decodeURIComponent(password), database: pathname.slice(1) };
  }

  /** Runs one of the commands beside `npm start` to its end: kubectl, zone. Gives what it printed. Throws when it fails. */
  run(program: 'kubectl' | 'zone', ...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`packages/quickstart/src/${program}.ts`, ...args], {
      cwd: ROOT,
      env: environment(this.#home),
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  /** As `run`, while this process goes on with what else it does: clients of its own, for one. */
  async runAside(program: 'kubectl' | 'zone', ...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [`packages/quickstart/src/${program}.ts`, ...args], {
      cwd: ROOT,
      env: environment(this.#home),
    });
    return stdout;
  }

  /** Process ids of this system's, by a part of their command line and a setting that they were started with. */
  processes(program: string, setting = ''): number[] {
    return systemProcesses(this.#home, program, setting);
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGINT');
    await exited;
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function environment(home: string): NodeJS.ProcessEnv {
  return { ...process.env, KUBE_AURORA_HOME: home, KUBECONFIG: '', LOCAL_KUBE_PORT: '0', NODE_NO_WARNINGS: '1' };
}

/** Of a process that may be gone. */
export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
