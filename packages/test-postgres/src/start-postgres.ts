import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@kube-aurora/test-ports';
import { Client } from 'pg';
import { type PostgresBinaries, postgresBinaries } from './binaries.ts';
import { type PostgresUser, postgresUser } from './unprivileged-user.ts';

export interface StartOptions {
  /** Given on the command line, so they override everything else. Default only: fsync off, loopback and a free port. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** More arguments of initdb. */
  readonly initdb?: readonly string[];
  /** More environment of the server, for instance LD_PRELOAD. */
  readonly env?: Readonly<Record<string, string>>;
  /** An existing data directory instead of a new one; it is left alone by `remove`. The server's user must own it. */
  readonly dataDir?: string;
  /** How long to wait for the first connection, 30 s when not given. */
  readonly timeoutMs?: number;
}

/** fast: clean shutdown with a checkpoint. immediate: leaves it to crash recovery. kill: SIGKILL of the postmaster. */
export type StopMode = 'fast' | 'immediate' | 'kill';

export interface TestPostgres {
  readonly port: number;
  /** Directory of the Unix socket; use it as `host`. */
  readonly socketDir: string;
  readonly dataDir: string;
  /** Who the server runs as; files put into dataDir must belong to them. */
  readonly user: PostgresUser;
  readonly pid: number;
  /** A connected client, superuser `postgres`, over the Unix socket. The caller ends it. */
  connect(database?: string): Promise<Client>;
  /** The server's log so far. */
  log(): Promise<string>;
  /** Stops the server and keeps its files. Does nothing when it has exited already. */
  stop(mode?: StopMode): Promise<void>;
  /** Starts it again on the same data directory and port. */
  restart(settings?: StartOptions['settings']): Promise<void>;
  /** Stops it and deletes its files. */
  remove(): Promise<void>;
}

const SIGNAL: Record<StopMode, NodeJS.Signals> = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' };
const STOP_TIMEOUT_MS = 30_000;

/** Initialises and starts a PostgreSQL and waits until it takes connections. Rejects with its log when it does not. */
export async function startPostgres(options: StartOptions = {}): Promise<TestPostgres> {
  const user = postgresUser();
  const binaries = postgresBinaries(user);
  const scratch = await mkdtemp(path.join(tmpdir(), 'ka-pg-'));
  const socketDir = path.join(scratch, 's');
  await mkdir(socketDir, { mode: 0o755 });
  if (user.uid !== undefined && user.gid !== undefined) {
    await chown(scratch, user.uid, user.gid);
    await chown(socketDir, user.uid, user.gid);
  }
  const dataDir = options.dataDir ?? path.join(scratch, 'data');
  const place: Place = { scratch, socketDir, dataDir, port: await freePort(), logFile: path.join(scratch, 'log'), user, binaries };
  try {
    if (options.dataDir === undefined) await runInitdb(place, options.initdb ?? []);
    return new RunningPostgres(place, options, await launch(place, options));
  } catch (error) {
    await rm(scratch, { recursive: true, force: true });
    throw error;
  }
}

interface Place {
  readonly scratch: string;
  readonly socketDir: string;
  readonly dataDir: string;
  readonly port: number;
  readonly logFile: string;
  readonly user: PostgresUser;
  readonly binaries: PostgresBinaries;
}

class RunningPostgres implements TestPostgres {
  readonly #place: Place;
  #options: StartOptions;
  #child: ChildProcess;

  constructor(place: Place, options: StartOptions, child: ChildProcess) {
    this.#place = place;
    this.#options = options;
    this.#child = child;
  }

  get port(): number {
    return this.#place.port;
  }

  get socketDir(): string {
    return this.#place.socketDir;
  }

  get dataDir(): string {
    return this.#place.dataDir;
  }

  get user(): PostgresUser {
    return this.#place.user;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the server was not started');
    return pid;
  }

  connect(database = 'postgres'): Promise<Client> {
    return connect(this.#place, database);
  }

  log(): Promise<string> {
    return readFile(this.#place.logFile, 'utf8');
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await stop(this.#child, SIGNAL[mode]);
    if (mode === 'kill') await childrenGone(this.#place.dataDir);
  }

  async restart(settings: StartOptions['settings'] = {}): Promise<void> {
    await this.stop();
    this.#options = { ...this.#options, settings: { ...this.#options.settings, ...settings } };
    this.#child = await launch(this.#place, this.#options);
  }

  async remove(): Promise<void> {
    await stop(this.#child, 'SIGQUIT');
    await rm(this.#place.scratch, { recursive: true, force: true });
  }
}

async function runInitdb(place: Place, extra: readonly string[]): Promise<void> {
  const locale = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--encoding=UTF8'];
  const args = ['-D', place.dataDir, '-U', 'postgres', '--auth=trust', '--no-sync', '--no-instructions', ...locale, ...extra];
  const options = { ...place.user, cwd: place.scratch, env: serverEnvironment(place, {}), timeout: 60_000 };
  await promisify(execFile)(place.binaries.initdb, args, options);
}

async function launch(place: Place, options: StartOptions): Promise<ChildProcess> {
  const settings = {
    fsync: false,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: place.socketDir,
    port: place.port,
    ...options.settings,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${shown(value)}`]);
  const log = openSync(place.logFile, 'a');
  const child = spawn(place.binaries.postgres, ['-D', place.dataDir, ...args], {
    ...place.user,
    cwd: place.scratch,
    env: serverEnvironment(place, options.env ?? {}),
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let spawnError: Error | undefined;
  child.once('error', (error) => (spawnError = error));
  // A test run that is cut short must not leave a server behind.
  const killWithUs = () => child.kill('SIGQUIT');
  process.once('exit', killWithUs);
  child.once('exit', () => process.off('exit', killWithUs));

  const deadline = Date.now() + (options.timeoutMs ?? 30_000);
  for (;;) {
    const refused = await connect(place, 'postgres').then(
      (client) => client.end(),
      (error: unknown) => error,
    );
    if (refused === undefined) return child;
    if (spawnError !== undefined || hasExited(child) || Date.now() > deadline) {
      await stop(child, 'SIGKILL');
      const log = await readFile(place.logFile, 'utf8');
      throw new Error(`PostgreSQL did not start (${String(spawnError ?? refused)}); its log:\n${log.slice(-4000)}`);
    }
    await delay(20);
  }
}

async function connect(place: Place, database: string): Promise<Client> {
  const client = new Client({ host: place.socketDir, port: place.port, user: 'postgres', database });
  // The server's end breaks open connections when it is stopped; queries in flight still reject.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || hasExited(child)) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(late);
}

/**
 * A killed postmaster's children see it within moments, and hold its shared memory until then: another one would refuse
 * to start. All of them work in the data directory. Throws when they stay.
 */
async function childrenGone(dataDir: string): Promise<void> {
  const directory = await realpath(dataDir);
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  for (;;) {
    const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    // One that ended meanwhile, or is another user's, works nowhere that concerns us.
    const places = await Promise.all(processes.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
    if (!places.includes(directory)) return;
    if (Date.now() > deadline) throw new Error(`processes of the killed server still work in ${dataDir}`);
    await delay(10);
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function shown(value: string | number | boolean): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}

function serverEnvironment(place: Place, extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: place.scratch, TZ: 'UTC', LC_ALL: 'C', ...extra };
}
