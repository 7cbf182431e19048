/**
 * A whole cluster of real processes for end-to-end and fault tests: six storage daemons in three zones and one compute
 * agent (more on demand), each on an address of its own in 127.0.0.0/8, with data in a temporary directory.
 *
 *   const cluster = await Cluster.start();
 *   await cluster.query('create table t (id int)');
 *   cluster.daemons[0].pause();                  // or kill(), restart(), resume()
 *   await cluster.writer.kill();                 // kill -9 of the agent (PostgreSQL is killed by the next agent)
 *   cluster.writer.start();
 *   await cluster.writerReady();
 *   await cluster.destroy();
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomInt, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { rolesOf, type SegmentRole, type VolumeCopies } from '@kube-aurora/volume';
import { Client, type ClientConfig, type QueryResult, type QueryResultRow } from 'pg';
import { fingerprintOf } from '../../compute-node/src/settings/settings-files.ts';
import { DAEMON_MEMORY_ENVIRONMENT, MEMORY_ENVIRONMENT } from '../../packages/process/src/memory-environment.ts';
import type { ClusterCertificates } from './cluster-certificates.ts';
import { EncryptionKeys } from './encryption-keys.ts';
import { ManagedProcess } from './managed-process.ts';
import { Writer } from './compute-process.ts';

export const ZONES = ['zone-a', 'zone-b', 'zone-c'] as const;
export type Zone = (typeof ZONES)[number];
const DAEMONS = 6;
const PASSWORD = 'e2e-password';
const POLL_MS = 20;
/** What may take a machine that is short of CPU this long is there in a second otherwise: it ends only what never comes. */
const WITHIN_MS = 60_000;
/** Of an attempt after which there is another. */
const ATTEMPT_MS = 2000;
/** Compiled code of earlier runs: a process starts in half the time. */
const COMPILE_CACHE = join(tmpdir(), 'kube-aurora-compile-cache');

export interface ClusterOptions {
  /** Environment of all processes, over the harness's own (AURORA_RING_MIB and the like). */
  readonly env?: Readonly<Record<string, string>>;
  readonly pgParameters?: Readonly<Record<string, string>>;
  /** How the volume begins: initdb.json of the settings directory. */
  readonly initdb?: Readonly<Record<string, unknown>>;
  /** Milliseconds until the first writer must answer. */
  readonly readyWithinMs?: number;
  /** Start nothing but make everything; start processes one by one. */
  readonly idle?: boolean;
  /**
   * Agents reach daemons of other zones by addresses that `zoneLinks` tells: somebody has to pass on what comes there.
   */
  readonly linked?: boolean;
  /** What the six are, Full unless given. Mixed: the first of each zone is a full segment, the second a tail. */
  readonly copies?: VolumeCopies;
  /** What the first compute is: the writer for good unless given. */
  readonly role?: 'writer' | 'auto';
  /** Computes are named by their addresses, as a name server would have it, so that one finds another: `NAME-rw` and switchovers need that. */
  readonly findable?: boolean;
  /** Programs speak TLS with these; in plain text unless given. Whoever made them removes them. */
  readonly certificates?: ClusterCertificates;
  /** Daemons encrypt what they store, with the keys of {@link Cluster.keys}. */
  readonly encrypted?: boolean;
}

/** Where agents of other zones reach a port of a daemon when the cluster is linked, and where that daemon listens. */
export interface DaemonLink {
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: { readonly host: string; readonly port: number };
}

export class Cluster {
  readonly directory: string;
  readonly settingsDir: string;
  /** Of an encrypted cluster. */
  readonly keys: EncryptionKeys | undefined;
  readonly volumeId = randomUUID();
  /** In pairs by zone: 0 and 1 in zone-a, 2 and 3 in zone-b, 4 and 5 in zone-c. */
  readonly daemons: readonly ManagedProcess[];
  /** What each daemon's segment is, in the same order. */
  readonly roles: readonly SegmentRole[];
  /** The first agent. */
  readonly writer: Writer;
  readonly #network: string;
  readonly #options: ClusterOptions;
  readonly #writers: Writer[] = [];

  private constructor(options: ClusterOptions) {
    this.#options = options;
    // Short: PostgreSQL's socket path lies below it and may have 103 bytes.
    this.directory = mkdtempSync(join(tmpdir(), 'ka-'));
    // PostgreSQL runs as another account when the tests run as root.
    chmodSync(this.directory, 0o755);
    this.#network = `127.${randomInt(64, 250)}.${randomInt(1, 250)}`;
    this.keys = options.encrypted === true ? new EncryptionKeys(join(this.directory, 'keys')) : undefined;
    this.settingsDir = join(this.directory, 'settings');
    mkdirSync(this.settingsDir);
    this.setParameters({ shared_buffers: '32MB', ...options.pgParameters });
    this.setInitdb(options.initdb ?? {});
    this.setPassword(PASSWORD);
    this.roles = rolesOf(
      options.copies ?? 'Full',
      Array.from({ length: DAEMONS }, (_, index) => zoneOf(index)),
    );
    const peers = this.roles.map((role, index) => `d${index}=${this.#daemonHost(index)}:7001${suffixOf(role)}`).join(',');
    this.daemons = Array.from({ length: DAEMONS }, (_, index) => {
      const dataDir = join(this.directory, `d${index}`);
      mkdirSync(dataDir);
      return new ManagedProcess({
        name: `d${index}`,
        program: 'storage-daemon/src/main.ts',
        logFile: join(this.directory, `d${index}.log`),
        env: {
          AURORA_DATA_DIR: dataDir,
          AURORA_LISTEN: `${this.#daemonHost(index)}:7001`,
          AURORA_FRAMES_LISTEN: `${this.#daemonHost(index)}:7004`,
          AURORA_METRICS_LISTEN: `${this.#daemonHost(index)}:7002`,
          AURORA_DAEMON_ID: `d${index}`,
          AURORA_ZONE: zoneOf(index),
          AURORA_PEERS: peers,
          NODE_COMPILE_CACHE: COMPILE_CACHE,
          ...DAEMON_MEMORY_ENVIRONMENT,
          ...this.#identityEnv('storage'),
          ...(this.keys === undefined ? {} : { AURORA_ENCRYPTION_KEY_FILE: this.keys.file }),
          ...options.env,
        },
      });
    });
    this.writer = this.#addCompute('zone-a', options.role ?? 'writer');
  }

  /** A new volume with a writer that answers. Everything is cleaned up when it cannot be had. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    if (options.idle !== true) await cluster.startAll(options.readyWithinMs);
    return cluster;
  }

  /** Starts the daemons and the writer, and waits until it answers. Everything is cleaned up when it cannot be had. */
  async startAll(readyWithinMs = 60_000): Promise<void> {
    try {
      for (const daemon of this.daemons) daemon.start();
      this.writer.start();
      await this.writerReady(readyWithinMs);
    } catch (error) {
      await this.destroy();
      throw error;
    }
  }

  /** Changes the PostgreSQL parameters that the writers are to run with. */
  setParameters(parameters: Readonly<Record<string, string>>): void {
    replaceFile(join(this.settingsDir, 'parameters.json'), JSON.stringify(parameters));
  }

  /** Changes who may log in: lines of pg_hba.conf before those for everybody. Gives how the agent names them in its status. */
  setRules(...lines: readonly string[]): string {
    const text = JSON.stringify(lines);
    replaceFile(join(this.settingsDir, 'pg_hba.json'), text);
    return fingerprintOf(text);
  }

  /** Changes what holds for a failover: failover.json of the settings directory. */
  setFailover(settings: Readonly<Record<string, unknown>>): void {
    replaceFile(join(this.settingsDir, 'failover.json'), JSON.stringify(settings));
  }

  /** Changes how a volume that is not there yet is to begin. */
  setInitdb(initdb: Readonly<Record<string, unknown>>): void {
    replaceFile(join(this.settingsDir, 'initdb.json'), JSON.stringify(initdb));
  }

  /** How the agent names the parameters of {@link setParameters} in its status. */
  settingsFingerprint(): string {
    return fingerprintOf(readFileSync(join(this.settingsDir, 'parameters.json'), 'utf8'));
  }

  /** Changes the password that both roles are to have; undefined takes its file away. */
  setPassword(password: string | undefined): void {
    const file = join(this.directory, 'password');
    if (password === undefined) rmSync(file);
    else replaceFile(file, `${password}\n`);
  }

  #identityEnv(role: 'storage' | 'compute'): Readonly<Record<string, string>> {
    const { certificates } = this.#options;
    return certificates === undefined ? {} : { AURORA_IDENTITY_DIR: certificates.directoryOf(role) };
  }

  #daemonHost(index: number): string {
    return `${this.#network}.${10 + index}`;
  }

  #farHost(index: number): string {
    return `${this.#network}.${50 + index}`;
  }

  /** Another agent on the same volume, not started: start it to take over (the one that runs is fenced). */
  addWriter(zone: Zone = 'zone-a'): Writer {
    return this.#addCompute(zone, 'writer');
  }

  /** An agent that reads the same volume, not started. */
  addReader(zone: Zone = 'zone-b', env: Readonly<Record<string, string>> = {}): Writer {
    return this.#addCompute(zone, 'reader', env);
  }

  /** An agent that reads while there is a writer, and becomes it when it is elected; not started. */
  addInstance(zone: Zone, env: Readonly<Record<string, string>> = {}): Writer {
    return this.#addCompute(zone, 'auto', env);
  }

  #addCompute(zone: Zone, role: 'writer' | 'reader' | 'auto', env: Readonly<Record<string, string>> = {}): Writer {
    const index = this.#writers.length;
    const host = `${this.#network}.${100 + index}`;
    const dataDir = join(this.directory, `c${index}`);
    const password = join(this.directory, 'password');
    const writer = new Writer({
      name: `c${index}`,
      host,
      dataDir,
      logFile: join(this.directory, `c${index}.log`),
      env: {
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        ...MEMORY_ENVIRONMENT,
        ...this.#identityEnv('compute'),
        AURORA_VOLUME_ID: this.volumeId,
        AURORA_STORAGE: this.daemonsAddress(zone),
        AURORA_DATA_DIR: dataDir,
        AURORA_PG_LISTEN: `${host}:5432`,
        AURORA_METRICS_LISTEN: `${host}:7003`,
        AURORA_ZONE: zone,
        AURORA_INSTANCE: this.#options.findable === true ? host : `c${index}`,
        ...(this.#options.findable === true ? { AURORA_PG_WRITER_PORT: '5435', AURORA_INSTANCES: '*:5432' } : {}),
        AURORA_ROLE: role,
        AURORA_SUPERUSER_PASSWORD_FILE: password,
        AURORA_APP_PASSWORD_FILE: password,
        AURORA_APP_USER: 'app',
        AURORA_APP_DATABASE: 'app',
        AURORA_SETTINGS_DIR: this.settingsDir,
        AURORA_INIT_SQL_DIR: this.settingsDir,
        ...this.#options.env,
        ...env,
      },
    });
    this.#writers.push(writer);
    return writer;
  }

  /** The value of AURORA_STORAGE, for an agent of this zone. */
  daemonsAddress(from?: Zone): string {
    return this.roles
      .map((role, index) => {
        const isFar = this.#options.linked === true && from !== undefined && from !== zoneOf(index);
        return `d${index}=${zoneOf(index)}=${isFar ? this.#farHost(index) : this.#daemonHost(index)}:7001/7004${suffixOf(role)}`;
      })
      .join(',');
  }

  /** Of a linked cluster: what has to be passed on. */
  zoneLinks(): DaemonLink[] {
    return this.daemons.flatMap((_, index) =>
      [7001, 7004].map((port) => ({ listen: { host: this.#farHost(index), port }, to: { host: this.#daemonHost(index), port } })),
    );
  }

  /** The two daemons of a zone. */
  zone(zone: Zone): ManagedProcess[] {
    return this.daemons.filter((_, index) => zoneOf(index) === zone);
  }

  /** Connection settings of the application's role and database (or others). */
  connection(writer: Writer = this.writer, overrides: ClientConfig = {}): ClientConfig {
    return {
      host: writer.host,
      port: 5432,
      user: 'app',
      password: PASSWORD,
      database: 'app',
      connectionTimeoutMillis: WITHIN_MS,
      ...overrides,
    };
  }

  /** A connected client; the caller ends it. A lost connection shows in its next query, not as an uncaught error. */
  async connect(writer: Writer = this.writer, overrides: ClientConfig = {}): Promise<Client> {
    const client = new Client(this.connection(writer, overrides));
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** One statement on a connection of its own. */
  async query<Row extends QueryResultRow>(
    text: string,
    values: unknown[] = [],
    writer: Writer = this.writer,
    overrides: ClientConfig = {},
  ): Promise<QueryResult<Row>> {
    const client = await this.connect(writer, overrides);
    try {
      return await client.query<Row>(text, values);
    } finally {
      await client.end();
    }
  }

  /**
   * Waits until the writer answers a query; gives the milliseconds it took. Throws with the log's end when it does not.
   */
  async writerReady(withinMs = WITHIN_MS, writer: Writer = this.writer): Promise<number> {
    const startedAt = performance.now();
    for (;;) {
      try {
        await this.query('select 1', [], writer, { connectionTimeoutMillis: ATTEMPT_MS });
        return performance.now() - startedAt;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (performance.now() - startedAt > withinMs) {
          throw new Error(`${writer.name} does not answer after ${withinMs} ms (${error.message}); its log ends:\n${writer.logTail()}`, {
            cause: error,
          });
        }
      }
      await delay(POLL_MS);
    }
  }

  /** Waits for something to become true. Throws with `what` when it does not. */
  async until(what: string, holds: () => Promise<boolean> | boolean, withinMs = WITHIN_MS): Promise<void> {
    const end = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > end) throw new Error(`${what}: not within ${withinMs} ms`);
      await delay(POLL_MS);
    }
  }

  /** Kills everything it started. `keep` leaves data and logs in `directory`. */
  async destroy(options: { keep?: boolean } = {}): Promise<void> {
    await Promise.all([...this.#writers, ...this.daemons].map((each) => each.kill()));
    for (const writer of this.#writers) writer.killPostgres();
    if (options.keep !== true) rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** As a kubelet replaces files of a ConfigMap or Secret: nobody reads half of one. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

function suffixOf(role: SegmentRole): string {
  return role === 'TAIL' ? '=tail' : '';
}

export function zoneOf(daemon: number): Zone {
  return ZONES[Math.floor(daemon / 2)] ?? 'zone-a';
}
