import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, isRunning, processMark, type ProcessMark } from '@kube-aurora/process';
import { HOME, REPOSITORY } from './home.ts';
import { FRESH, nextStart, type StartHistory } from './restarts.ts';

const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/** How a program that should run came to an end. */
export interface ProgramEnd {
  readonly program: ChildProgram;
  readonly how: string;
  /** Milliseconds until it is started again; undefined when it is not. */
  readonly againInMs: number | undefined;
}

/**
 * A program that `npm start` runs beside itself and starts again when it ends, unless that is of no use: its settings
 * are wrong, or it ended time and again right after its start. Its output goes to `<home>/logs/<name>.log`.
 */
export class ChildProgram {
  readonly name: string;
  readonly logFile: string;
  /** Resolves when it has ended for good. */
  readonly exited: Promise<void>;
  readonly #command: readonly [string, ...string[]];
  readonly #env: NodeJS.ProcessEnv;
  readonly #onEnd: (end: ProgramEnd) => void;
  #process: ChildProcess | undefined;
  #ended: () => void = () => undefined;
  #over = false;
  #stopping = false;
  #history: StartHistory = FRESH;
  #retry: NodeJS.Timeout | undefined;
  /** Where in the log its current run begins: what is before is of earlier runs. */
  #logStart = 0;

  /** Of ours, by the file that Node runs; or `command`, of others. */
  constructor(
    name: string,
    program: string | { readonly command: readonly [string, ...string[]] },
    env: NodeJS.ProcessEnv,
    onEnd: (end: ProgramEnd) => void,
  ) {
    this.name = name;
    this.#command = typeof program === 'string' ? [process.execPath, path.join(REPOSITORY, program)] : program.command;
    this.#env = env;
    this.#onEnd = onEnd;
    const logs = path.join(HOME, 'logs');
    mkdirSync(logs, { recursive: true, mode: 0o700 });
    this.logFile = path.join(logs, `${name}.log`);
    this.exited = new Promise((resolve) => (this.#ended = resolve));
    this.#start();
  }

  get running(): boolean {
    return !this.#over;
  }

  #start(): void {
    rotate(this.logFile);
    this.#logStart = statSync(this.logFile, { throwIfNoEntry: false })?.size ?? 0;
    const log = openSync(this.logFile, 'a', 0o600);
    const startedMs = performance.now();
    // Its own process group: a terminal's Ctrl-C reaches only us, and we stop things in order.
    const [file, ...args] = this.#command;
    const child = spawn(file, args, {
      cwd: REPOSITORY,
      env: { ...process.env, NODE_NO_WARNINGS: '1', ...this.#env },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#process = child;
    if (child.pid !== undefined) remember(this.name, child.pid);
    child.once('error', (error) => this.#exit(startedMs, null, error.message));
    child.once('exit', (code, signal) =>
      this.#exit(startedMs, code, signal === null ? `exited with code ${String(code)}` : `was ended by ${signal}`),
    );
  }

  #exit(startedMs: number, code: number | null, how: string): void {
    this.#process = undefined;
    forget(this.name);
    const { history, againInMs } = nextStart(this.#history, performance.now() - startedMs);
    this.#history = history;
    const again = this.#stopping || code === EXIT.badConfig ? undefined : againInMs;
    if (again === undefined) {
      this.#over = true;
      this.#ended();
    } else this.#retry = setTimeout(() => this.#start(), again);
    if (!this.#stopping) this.#onEnd({ program: this, how, againInMs: again });
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when it has gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#retry);
    if (this.#process === undefined) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** The end of what its last run has logged, for a message that says why it went. */
  lastLines(count: number): string {
    return tail(this.logFile, this.#logStart, 8192).split('\n').slice(-count).join('\n').trim();
  }
}

const MARKS = path.join(HOME, 'run');
const markFile = (name: string): string => path.join(MARKS, `${name}.json`);

function remember(name: string, pid: number): void {
  const mark = processMark(pid);
  if (mark === undefined) return;
  mkdirSync(MARKS, { recursive: true, mode: 0o700 });
  // Aside and renamed: a kill in between leaves no half file.
  writeFileSync(`${markFile(name)}.partial`, JSON.stringify(mark), { mode: 0o600 });
  renameSync(`${markFile(name)}.partial`, markFile(name));
}

function forget(name: string): void {
  rmSync(markFile(name), { force: true });
}

/**
 * Ends a program that an `npm start` which was killed has left running: gracefully, then by force after `graceMs`.
 * Returns its process id, or undefined when there is none.
 */
export async function endOrphan(name: string, graceMs: number): Promise<number | undefined> {
  if (!existsSync(markFile(name))) return undefined;
  const mark = JSON.parse(readFileSync(markFile(name), 'utf8')) as ProcessMark;
  const { pid } = mark;
  const alive = (): boolean => isRunning(mark);
  const found = alive();
  if (found) process.kill(pid, 'SIGTERM');
  const until = performance.now() + graceMs;
  while (alive() && performance.now() < until) await delay(50);
  if (alive()) process.kill(pid, 'SIGKILL');
  while (alive()) await delay(20);
  forget(name);
  return found ? pid : undefined;
}

function rotate(file: string): void {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) renameSync(file, `${file}.1`);
}

function tail(file: string, from: number, bytes: number): string {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const start = Math.max(from, size - bytes);
  const buffer = Buffer.alloc(Math.max(0, size - start));
  if (buffer.length === 0) return '';
  const fd = openSync(file, 'r');
  readSync(fd, buffer, 0, buffer.length, start);
  closeSync(fd);
  return buffer.toString('utf8');
}
