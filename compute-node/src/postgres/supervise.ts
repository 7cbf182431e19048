import { spawn, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@kube-aurora/process';
import type { Account } from './account.ts';
import { PostgresLog } from './postgres-log.ts';
import { OWNED_PARAMETERS } from './parameters.ts';
import type { Clock } from '@kube-aurora/clock';
import type { Permit } from '../lease/writer-lease.ts';
import { LeaseFile, type WalPoints, type WriterAddress } from './lease-file.ts';
import { memoryTag, removeSharedMemory } from './shared-memory.ts';
import { killStrays } from './strays.ts';
import { CACHE_FILE } from './cache-file.ts';
import { RELATION_TABLE_FILE } from './relation-table.ts';
import { askPostgres, greetsPostgres, probeUntilReady, type PostgresAnswer } from './readiness.ts';
import { SOCKET_PATH_MAX } from './run-directory.ts';

/** smart waits for clients to leave, fast ends their sessions and checkpoints, immediate just stops. */
export type StopMode = 'smart' | 'fast' | 'immediate';
const STOP_SIGNAL = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
/** After an immediate stop; PostgreSQL itself waits 5 s before it kills its children. */
const KILL_AFTER_MS = 500;
const READY_WITHIN_MS = 60_000;
/** Backends that outlive their postmaster tell their clients and end; those that have not by then are killed. */
const STRAYS_END_WITHIN_MS = 300;
/** After that only strangers (a COPY ... PROGRAM) can hold PostgreSQL's log open. */
const LOG_END_WITHIN_MS = 100;

export interface PostgresExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ShimStart {
  readonly library: string;
  readonly socketPath: string;
  readonly token: bigint;
  readonly startLsn: bigint;
  /** A reader, until it is promoted: pages are those of what it has replayed, and its WAL is its own affair. */
  readonly isStandby?: boolean;
  /** The data directory has a file that bounds the local cache. */
  readonly boundsCache: boolean;
  /** Replies to clients from the network leave only as far as `permit` says; those of a reader always. */
  readonly holdsReplies: boolean;
  /** A second port, for clients that want the writer; a reader passes them on to it. Needs `holdsReplies` and a `listen`. */
  readonly writerPort?: number | undefined;
}

export interface StartPostgresOptions {
  /** The postgres program. */
  readonly postgres: string;
  readonly dataDir: string;
  /**
   * Only the agent and PostgreSQL may enter (0700): holds PostgreSQL's local socket, which trusts whoever reaches it.
   */
  readonly socketDir: string;
  /** In it: the directory of a second one, whose sessions are clients' that the agent passes on. Undefined: there is none. */
  readonly clientSocketDir?: string | undefined;
  /** Undefined listens on the local socket alone; its file is named after `port`. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly account: Account | undefined;
  /** Resource managers whose pages storage takes from images in the WAL. */
  readonly imageResourceManagers: readonly string[];
  /** Without it PostgreSQL runs stock, on its own files. */
  readonly shim: ShimStart | undefined;
  readonly logger: Logger;
  /** Last word on settings, for the scratch start that makes a volume. */
  readonly overrides?: Readonly<Record<string, string>>;
}

export interface RunningPostgres {
  readonly pid: number;
  /** Resolves at the first answered connection. Rejects with {@link PostgresStartError} when it exits before that. */
  readonly ready: Promise<void>;
  /**
   * Its postmaster has ended, and no process of it is left. Never waits for what such a process does or does not do.
   */
  readonly exited: Promise<PostgresExit>;
  /** What it says to a new connection, within `withinMs`. */
  ask(withinMs: number): Promise<PostgresAnswer>;
  /** Does its postmaster show a sign of life within `withinMs`? */
  greets(withinMs: number): Promise<boolean>;
  /** The last records of PostgreSQL's log, in its words. */
  recentLog(): string[];
  /** The last FATAL or PANIC in it, which says why PostgreSQL ended. */
  lastFatal(): string | undefined;
  stop(mode: StopMode): Promise<PostgresExit>;
  /** Replies to clients may leave until then, by the clock. Of no effect where none is held, or once it has ended. */
  permit(permit: Permit, clock: Pick<Clock, 'now'>): void;
  /** Of a writer: its sessions begin no transaction until then, by the clock. Of no effect where no replies are held. */
  pauseUntil(untilMs: number, clock: Pick<Clock, 'now'>): void;
  /** Of a writer whose flushes return before their quorum: nobody is told of what is not durable. */
  walIs(points: WalPoints): void;
  /** Of a writer: who commits waits for a standby of this name, or for none. Asks PostgreSQL to read it; when it has, it says so itself. */
  waitForStandby(name: string | undefined): void;
  /** Of a reader: clients that want the writer are passed on to there. */
  writerIs(address: WriterAddress): void;
  /** Of a reader: replay waits for no query any more that it is in the way of. */
  hastenReplay(): void;
  /**
   * A reader that has replayed everything up to `lsn`, and is given no more, becomes the writer: its own WAL begins there. From
   * here on replies wait for `permit`. When it takes writes, it says so itself.
   */
  promote(lsn: bigint): void;
  /** Ends every process of it, at once and whatever their state. */
  kill(): Promise<PostgresExit>;
}

export class PostgresStartError extends Error {
  constructor(what: string, log: readonly string[]) {
    super(`PostgreSQL did not start: ${what}${log.length === 0 ? '' : `\n${log.join('\n')}`}`);
    this.name = 'PostgresStartError';
  }
}

/** Port in the local socket's name when PostgreSQL does not listen on the network. */
export const LOCAL_PORT = 5432;

/** The request for a promotion, in the data directory (PROMOTE_SIGNAL_FILE, access/xlog.h); SIGUSR1 has the postmaster look. */
const PROMOTE_FILE = 'promote';
/** Read after postgresql.conf, and written by nobody else: ALTER SYSTEM is off. */
const LATER_CONFIGURATION_FILE = 'postgresql.auto.conf';

/**
 * Starts PostgreSQL on a built directory. Processes that an earlier agent left on the same directory are killed first.
 * Throws {@link PostgresStartError} when it cannot be started at all.
 */
export function startPostgres(options: StartPostgresOptions): RunningPostgres {
  const port = options.listen?.port ?? LOCAL_PORT;
  const localSocket = `${options.socketDir}/.s.PGSQL.${port}`;
  if (Buffer.byteLength(localSocket) > SOCKET_PATH_MAX) {
    throw new PostgresStartError(`socket path '${localSocket}' is longer than ${SOCKET_PATH_MAX} bytes; use a shorter data directory`, []);
  }
  if (options.shim !== undefined) checkShimLoads(options.postgres, options.shim.library, options.account);
  const strays = killStrays(options.dataDir);
  if (strays.length > 0) options.logger.warn({ pids: strays }, 'killed processes that an earlier PostgreSQL left');

  removeSharedMemory(options.dataDir);
  let lease = options.shim?.holdsReplies === true ? LeaseFile.create(options.dataDir) : undefined;
  if (options.shim?.isStandby === true) lease?.permitAlways();

  const log = new PostgresLog(options.logger);
  // Left by a PostgreSQL that was killed: until someone reaps it its pid looks alive, and PostgreSQL would refuse to
  // start. The directory is ours alone, and strays were killed.
  for (const dir of socketDirs(options)) rmSync(`${dir}/.s.PGSQL.${port}.lock`, { force: true });
  const child = spawn(options.postgres, commandLine(options, port), {
    ...options.account,
    cwd: '/',
    // Its own session: a Ctrl-C meant for the agent must not reach it before the agent's ordered shutdown does.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(options, lease?.path),
  });
  child.stdout.on('data', (chunk: Buffer) => log.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => log.push(chunk));
  let ended = false;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  // 'exit', not 'close': 'close' waits until nobody holds the pipes any more, and a stopped child of the postmaster
  // holds them for ever.
  const exited = new Promise<PostgresExit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      ended = true;
      void withoutStrays(options, closed).then(() => {
        removeSharedMemory(options.dataDir);
        lease?.close();
        lease = undefined;
        log.end();
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ code, signal });
      }, reject);
    });
  });
  const { pid } = child;
  if (pid === undefined) {
    exited.catch((error: unknown) => options.logger.error({ err: error }, 'PostgreSQL could not be run'));
    throw new PostgresStartError(`'${options.postgres}' cannot be run`, []);
  }

  const cancel = new AbortController();
  const ready = Promise.race([
    probeUntilReady(localSocket, { timeoutMs: READY_WITHIN_MS, signal: cancel.signal }),
    exited.then(({ code, signal }) => {
      throw new PostgresStartError(`it ended with ${signal ?? `code ${code}`}`, log.recent(20));
    }),
  ]).finally(() => cancel.abort());
  // Whoever awaits `ready` hears of it; a caller that stops PostgreSQL before that need not.
  ready.catch(() => undefined);

  const setLater = (settings: string): void => {
    if (ended) return;
    writeFileSync(join(options.dataDir, LATER_CONFIGURATION_FILE), settings);
    child.kill('SIGHUP');
  };

  return {
    pid,
    ready,
    exited,
    ask: (withinMs) => askPostgres(localSocket, withinMs),
    greets: (withinMs) => greetsPostgres(localSocket, withinMs),
    recentLog: () => log.recent(),
    lastFatal: () => log.lastFatal,
    stop(mode) {
      if (!ended) child.kill(STOP_SIGNAL[mode]);
      return exited;
    },
    permit: (permit, clock) => lease?.permit(permit, clock),
    pauseUntil: (untilMs, clock) => lease?.pauseUntil(untilMs, clock),
    walIs: (points) => lease?.walIs(points),
    waitForStandby: (name) => setLater(name === undefined ? '' : `synchronous_standby_names = '${name}'\n`),
    writerIs: (address) => lease?.writerIs(address),
    hastenReplay: () => setLater('max_standby_streaming_delay = 0\n'),
    promote(lsn) {
      if (lease === undefined) throw new Error('a PostgreSQL whose replies are not held cannot be promoted');
      setLater('');
      // In this order: a writer answers nobody without a lease, and PostgreSQL writes nothing before the shim knows that it may.
      lease.permitNone();
      lease.promote(lsn);
      writeFileSync(join(options.dataDir, PROMOTE_FILE), '');
      if (!ended) child.kill('SIGUSR1');
    },
    async kill() {
      if (!ended) child.kill('SIGQUIT');
      await within(exited, KILL_AFTER_MS);
      killStrays(options.dataDir);
      if (!ended) child.kill('SIGKILL');
      return exited;
    },
  };
}

/** Ends what the dead postmaster left, and waits for the end of its log; both within a bounded time. */
async function withoutStrays({ dataDir, logger }: StartPostgresOptions, closed: Promise<void>): Promise<void> {
  if (await within(closed, STRAYS_END_WITHIN_MS)) return;
  const strays = killStrays(dataDir);
  if (strays.length > 0) logger.warn({ pids: strays }, 'killed processes that PostgreSQL left when it ended');
  await within(closed, LOG_END_WITHIN_MS);
}

async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(ms, false, { signal: timer.signal, ref: false }).catch(() => false);
  const inTime = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return inTime;
}

/**
 * The dynamic loader only warns when it cannot preload a library, and PostgreSQL would then run on, with commits that
 * are durable nowhere. Hence this look before every start. Throws {@link PostgresStartError}.
 */
function checkShimLoads(postgres: string, library: string, account: Account | undefined): void {
  const { error, status, stderr } = spawnSync(postgres, ['--version'], {
    ...account,
    cwd: '/',
    encoding: 'utf8',
    env: { LD_PRELOAD: library, LC_ALL: 'C' },
    timeout: 10_000,
  });
  if (error === undefined && status === 0 && stderr === '') return;
  throw new PostgresStartError(`the shim ${library} cannot be loaded: ${error?.message ?? stderr.trim()}`, []);
}

function commandLine(options: StartPostgresOptions, port: number): string[] {
  const addresses = options.listen === undefined ? [] : [options.listen.host];
  // The shim binds the second of two that are the same to the writer's port.
  if (options.shim?.writerPort !== undefined) addresses.push(...addresses);
  const settings: Record<string, string> = {
    ...OWNED_PARAMETERS,
    wal_consistency_checking: options.imageResourceManagers.join(','),
    listen_addresses: addresses.join(','),
    port: String(port),
    unix_socket_directories: socketDirs(options).join(','),
    unix_socket_permissions: '0700',
    ...options.overrides,
  };
  return ['-D', options.dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

function socketDirs({ socketDir, clientSocketDir }: StartPostgresOptions): readonly string[] {
  return [socketDir, ...(clientSocketDir === undefined ? [] : [clientSocketDir])];
}

function environment({ shim, dataDir, clientSocketDir }: StartPostgresOptions, leaseFile: string | undefined): NodeJS.ProcessEnv {
  const base = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: process.env['TZ'] ?? 'UTC' };
  if (shim === undefined) return base;
  return {
    ...base,
    LD_PRELOAD: shim.library,
    AURORA_SHIM_SOCKET: shim.socketPath,
    AURORA_SHIM_RELATIONS: join(dataDir, RELATION_TABLE_FILE),
    ...(shim.boundsCache ? { AURORA_SHIM_CACHE: join(dataDir, CACHE_FILE) } : {}),
    ...(leaseFile === undefined ? {} : { AURORA_SHIM_LEASE: leaseFile }),
    ...(shim.writerPort === undefined ? {} : { AURORA_SHIM_WRITER_PORT: String(shim.writerPort) }),
    ...(clientSocketDir === undefined ? {} : { AURORA_SHIM_CLIENT_SOCKETS: clientSocketDir }),
    AURORA_SHIM_TOKEN: String(shim.token),
    AURORA_SHIM_START_LSN: String(shim.startLsn),
    ...(shim.isStandby === true ? { AURORA_SHIM_STANDBY: '1' } : {}),
    AURORA_SHIM_AGENT_PID: String(process.pid),
    AURORA_SHIM_MEMORY_TAG: memoryTag(dataDir),
  };
}
