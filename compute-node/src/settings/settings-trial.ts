/**
 * Tries settings with the real PostgreSQL and without a database: `postgres -C shared_memory_size` reads the
 * configuration file, checks every value and how they go together, loads the preload libraries and TLS certificates,
 * works out how much shared memory it would take, prints that and ends. It touches neither a port nor the running
 * server; it takes some 50 ms.
 */
import { execFile } from 'node:child_process';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DB_STATE, encodePgControl, lsn, PAGE_BYTES, WAL_SEGMENT_BYTES } from '@kube-aurora/pg-format';
import { CONTROL_FILE, VERSION_FILE } from '../engine.ts';
import type { Account } from '../postgres/account.ts';
import { configurationFile, OWNED_PARAMETERS } from '../postgres/parameters.ts';

const TRIAL_WITHIN_MS = 30_000;
const MIB = 1024 * 1024;
/** Of the memory there is, what shared memory may take; a server needs some for its sessions too. */
const SHARED_MEMORY_SHARE = 0.9;

export interface TrialOptions {
  /** The postgres program. */
  readonly postgres: string;
  readonly account: Account | undefined;
  /** Deleted before and after. */
  readonly scratchDir: string;
  /** Bytes that this machine or container has. */
  readonly memoryBytes: number;
}

export type TrialVerdict = { readonly kind: 'passed' } | { readonly kind: 'refused'; readonly words: string };

/** Rejects only when the trial itself could not be made. */
export async function trySettings(options: TrialOptions, parameters: ReadonlyMap<string, string>): Promise<TrialVerdict> {
  const { scratchDir, account, memoryBytes } = options;
  try {
    await makeDirectory(scratchDir, account, parameters);
    const { code, stdout, stderr } = await runPostgres(options, parameters);
    if (code !== 0) return { kind: 'refused', words: wordsOf(stderr, scratchDir) ?? `PostgreSQL ended with code ${code} and said nothing` };
    const sharedMib = Number(stdout.trim());
    if (sharedMib * MIB > memoryBytes * SHARED_MEMORY_SHARE) {
      const has = Math.floor(memoryBytes / MIB);
      return {
        kind: 'refused',
        words: `shared memory would take ${sharedMib} MB, and there are ${has} MB of memory: lower shared_buffers or max_connections`,
      };
    }
    return { kind: 'passed' };
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

async function makeDirectory(dir: string, account: Account | undefined, parameters: ReadonlyMap<string, string>): Promise<void> {
  await rm(dir, { recursive: true, force: true });
  const own = async (path: string): Promise<void> => {
    if (account !== undefined) await chown(path, account.uid, account.gid);
  };
  for (const directory of [dir, join(dir, 'global')]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await own(directory);
  }
  const files: readonly (readonly [string, string | Buffer])[] = [
    ['PG_VERSION', VERSION_FILE],
    ['global/pg_control', anyControlFile()],
    ['postgresql.conf', configurationFile(parameters)],
  ];
  for (const [name, content] of files) {
    await writeFile(join(dir, name), content, { mode: 0o600 });
    await own(join(dir, name));
  }
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function runPostgres({ postgres, account, scratchDir }: TrialOptions, parameters: ReadonlyMap<string, string>): Promise<Ended> {
  const settings: Record<string, string> = {
    ...OWNED_PARAMETERS,
    log_line_prefix: '',
    listen_addresses: '',
    unix_socket_directories: scratchDir,
    shared_preload_libraries: librariesOf(parameters),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: process.env['TZ'] ?? 'UTC' };
  return new Promise((resolve, reject) => {
    const started = execFile(
      postgres,
      ['-D', scratchDir, '-C', 'shared_memory_size', ...flags],
      { ...account, cwd: '/', env, timeout: TRIAL_WITHIN_MS, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        // `code` is a number when the program ended by itself, a text when it could not be run.
        if (error !== null && typeof error.code !== 'number' && started.exitCode === null && !error.killed) reject(error);
        else resolve({ code: started.exitCode ?? 1, stdout, stderr });
      },
    );
  });
}

/**
 * Libraries of every kind, as if the postmaster loaded them: one that sessions load and that is not there would refuse
 * every session. Local ones are looked for in `plugins`, as PostgreSQL does.
 */
function librariesOf(parameters: ReadonlyMap<string, string>): string {
  const named = (name: string): string[] =>
    (parameters.get(name) ?? '')
      .split(',')
      .map((library) => library.trim())
      .filter((library) => library !== '');
  const local = named('local_preload_libraries').map((library) => (library.includes('/') ? library : `$libdir/plugins/${library}`));
  return [...named('shared_preload_libraries'), ...named('session_preload_libraries'), ...local].join(', ');
}

/** Lines of the log that say what is wrong, without where our scratch file lies. */
export function wordsOf(log: string, scratchDir: string): string | undefined {
  const lines = log
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.includes('skipping missing configuration file') && !line.includes('" contains errors'))
    .map((line) =>
      line.replace(/^(LOG|FATAL|ERROR|PANIC|postgres): +/, '').replace(` in file "${join(scratchDir, 'postgresql.conf')}"`, ''),
    )
    .map((line) => line.replace(/ line \d+$/, '').trim());
  return lines.length === 0 ? undefined : lines.join('; ');
}

/** PostgreSQL wants one; nothing in it but the layout's constants is looked at. */
function anyControlFile(): Buffer {
  const at = lsn(WAL_SEGMENT_BYTES + 40);
  const none = lsn(0);
  return encodePgControl({
    systemIdentifier: 1n,
    pgControlVersion: CONTROL_FILE.controlVersion,
    catalogVersion: CONTROL_FILE.catalogVersion,
    state: DB_STATE.SHUTDOWNED,
    time: 0n,
    checkPoint: at,
    unloggedLsn: lsn(1000),
    minRecoveryPoint: none,
    minRecoveryPointTimeline: 0,
    backupStartPoint: none,
    backupEndPoint: none,
    backupEndRequired: false,
    walLevel: 1,
    walLogHints: false,
    maxConnections: 100,
    maxWorkerProcesses: 8,
    maxWalSenders: 10,
    maxPreparedXacts: 0,
    maxLocksPerXact: 64,
    trackCommitTimestamp: false,
    maxAlign: 8,
    floatFormat: 1_234_567,
    blockBytes: PAGE_BYTES,
    blocksPerSegmentFile: 131_072,
    walBlockBytes: PAGE_BYTES,
    walSegmentBytes: WAL_SEGMENT_BYTES,
    nameDataLength: 64,
    indexMaxKeys: 32,
    toastMaxChunkBytes: 1996,
    largeObjectBlockBytes: 2048,
    float8ByValue: true,
    dataChecksumVersion: 0,
    defaultCharSignedness: true,
    checkPointCopy: {
      redo: at,
      timeline: 1,
      prevTimeline: 1,
      fullPageWrites: false,
      walLevel: 1,
      nextXid: 3n,
      nextOid: 10_000,
      nextMulti: 1,
      nextMultiOffset: 0,
      oldestXid: 3,
      oldestXidDb: 1,
      oldestMulti: 1,
      oldestMultiDb: 1,
      time: 0n,
      oldestCommitTsXid: 0,
      newestCommitTsXid: 0,
      oldestActiveXid: 0,
    },
    mockAuthenticationNonce: Buffer.alloc(32),
  });
}
