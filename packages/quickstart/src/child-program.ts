import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { HOME, REPOSITORY } from './home.ts';

const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/** A program that `npm start` runs beside itself; its output goes to `<home>/logs/<name>.log`. */
export class ChildProgram {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<void>;
  #exited = false;
  readonly #process: ChildProcess;

  constructor(name: string, script: string, env: NodeJS.ProcessEnv) {
    this.name = name;
    const logs = path.join(HOME, 'logs');
    mkdirSync(logs, { recursive: true, mode: 0o700 });
    this.logFile = path.join(logs, `${name}.log`);
    rotate(this.logFile);
    const log = openSync(this.logFile, 'a', 0o600);
    // Its own process group: a terminal's Ctrl-C reaches only us, and we stop things in order.
    this.#process = spawn(process.execPath, [path.join(REPOSITORY, script)], {
      cwd: REPOSITORY,
      env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      const ended = (): void => {
        this.#exited = true;
        resolve();
      };
      this.#process.once('exit', ended);
      this.#process.once('error', ended);
    });
  }

  get running(): boolean {
    return !this.#exited;
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when it has gone. */
  async stop(graceMs: number): Promise<void> {
    if (this.#exited) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  /** The end of its log, for a message that says why it went. */
  lastLines(count: number): string {
    return tail(this.logFile, 8192).split('\n').slice(-count).join('\n').trim();
  }
}

function rotate(file: string): void {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) renameSync(file, `${file}.1`);
}

function tail(file: string, bytes: number): string {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const buffer = Buffer.alloc(Math.min(size, bytes));
  if (buffer.length === 0) return '';
  const fd = openSync(file, 'r');
  readSync(fd, buffer, 0, buffer.length, size - buffer.length);
  closeSync(fd);
  return buffer.toString('utf8');
}
