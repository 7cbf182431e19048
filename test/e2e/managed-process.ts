import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface ManagedProcessOptions {
  readonly name: string;
  /** A program of the repository, relative to its root: run by the same Node that runs the tests. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** stdout and stderr are appended to it. */
  readonly logFile: string;
}

/** One of the system's programs as a real process that can be killed, paused and started again. */
export class ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ManagedProcessOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #paused = false;
  #exitCode: number | null = null;

  constructor(options: ManagedProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.logFile = options.logFile;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }
  get paused(): boolean {
    return this.#paused;
  }
  /** Of the last run; null when a signal ended it. */
  get exitCode(): number | null {
    return this.#exitCode;
  }
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it with the same data as before, with `env` over its environment for this run. Does nothing when it runs. */
  start(env: Readonly<Record<string, string>> = {}): void {
    if (this.#child !== undefined) return;
    const log = openSync(this.logFile, 'a');
    const child = spawn(process.execPath, [this.#options.program, ...(this.#options.args ?? [])], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], ...this.#options.env, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    this.#paused = false;
    this.#exited = new Promise((resolve) => {
      const done = (): void => {
        if (this.#child === child) this.#child = undefined;
        resolve();
      };
      child.once('exit', (code) => {
        this.#exitCode = code;
        done();
      });
      child.once('error', done);
    });
  }

  /** Sends the signal and waits until it is gone. SIGKILL by default: no process gets to say goodbye to a power cut. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.resume();
    this.#child?.kill(signal);
    await this.#exited;
  }

  async restart(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.kill(signal);
    this.start();
  }

  /** SIGSTOP: it holds its sockets open and says nothing, which is worse than being dead. */
  pause(): void {
    if (this.#child?.kill('SIGSTOP') === true) this.#paused = true;
  }

  resume(): void {
    if (this.#paused) this.#child?.kill('SIGCONT');
    this.#paused = false;
  }

  /** Resolves when it ends by itself or was killed. */
  exited(): Promise<void> {
    return this.#exited;
  }

  /** The last part of its log, for messages of failing tests. */
  logTail(lines = 30): string {
    return readFileSync(this.logFile, 'utf8').split('\n').slice(-lines).join('\n');
  }
}
