import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { systemClock } from '@kube-aurora/clock';
import { createLogger } from '@kube-aurora/process';
import { PLAIN_TEXT } from '@kube-aurora/rpc';
import { accessFiles } from '../../compute-node/src/access/access-files.ts';
import { LoginRules } from '../../compute-node/src/access/login-rules.ts';
import type { RolePhases } from '../../compute-node/src/agent-phases.ts';
import { readAgentConfig } from '../../compute-node/src/config.ts';
import { createMetrics } from '../../compute-node/src/metrics.ts';
import { homeSegment } from '../../compute-node/src/placement.ts';
import { preparePostgresPaths } from '../../compute-node/src/postgres-paths.ts';
import { SUPERUSER } from '../../compute-node/src/postgres/local-client.ts';
import { RolePasswords } from '../../compute-node/src/postgres/role-passwords.ts';
import { WrittenDirectory } from '../../compute-node/src/postgres/written-directory.ts';
import { readerPhases } from '../../compute-node/src/reader-phases.ts';
import { writerPhases } from '../../compute-node/src/writer-phases.ts';
import { ReaderSession } from '../../compute-node/src/reader/reader-session.ts';
import type { RunningStandby } from '../../compute-node/src/reader/running-standby.ts';
import { connectSegments, type SegmentEndpoint, type WriterIdentity } from '../../compute-node/src/segments.ts';
import type { Session } from '../../compute-node/src/session/session.ts';
import { PostgresSettings } from '../../compute-node/src/settings/postgres-settings.ts';
import { settingsFiles } from '../../compute-node/src/settings/settings-files.ts';
import type { TrialVerdict } from '../../compute-node/src/settings/settings-trial.ts';
import { ServerTls } from '../../compute-node/src/tls/server-tls.ts';
import type { Cluster } from './cluster-harness.ts';
import type { Writer } from './compute-process.ts';

/**
 * What an agent does with a volume, in the test's own process and step by step: so that a test can do something between two
 * steps, and see what each came to. Real daemons, a stock PostgreSQL.
 */
export class InProcessCompute {
  /** Whose address and directory it has; never started. */
  readonly writer: Writer;
  readonly segments: readonly SegmentEndpoint[];
  readonly #reads: RolePhases;
  readonly #writes: RolePhases;
  readonly #metrics = createMetrics(new Registry(), NO_GAUGES);
  readonly #sessions: Session[] = [];
  readonly #over = new AbortController();

  private constructor(writer: Writer, segments: readonly SegmentEndpoint[], reads: RolePhases, writes: RolePhases) {
    this.writer = writer;
    this.segments = segments;
    this.#reads = reads;
    this.#writes = writes;
  }

  static async create(cluster: Cluster, writer: Writer): Promise<InProcessCompute> {
    const password = join(cluster.directory, 'password');
    const config = readAgentConfig(
      {
        AURORA_VOLUME_ID: cluster.volumeId,
        AURORA_STORAGE: cluster.daemonsAddress(),
        AURORA_DATA_DIR: writer.dataDir,
        AURORA_PG_LISTEN: `${writer.host}:5432`,
        AURORA_METRICS_LISTEN: `${writer.host}:7003`,
        AURORA_ZONE: 'zone-b',
        AURORA_INSTANCE: writer.name,
        AURORA_SUPERUSER_PASSWORD_FILE: password,
        AURORA_APP_PASSWORD_FILE: password,
        AURORA_APP_USER: 'app',
        AURORA_APP_DATABASE: 'app',
        AURORA_SETTINGS_DIR: cluster.settingsDir,
      },
      [],
    );
    const clock = systemClock();
    const logger = createLogger('compute', { level: process.env['LOG_LEVEL'] ?? 'silent' });
    const segments = connectSegments(config.storage, clock, PLAIN_TEXT);
    const paths = await preparePostgresPaths(config.dataDir, process.env);
    const trial = (): Promise<TrialVerdict> => Promise.resolve({ kind: 'passed' });
    const settings = new PostgresSettings({ files: settingsFiles(config.settingsDir), trial, clock, logger });
    const rules = new LoginRules({ files: accessFiles(config.settingsDir), clock, logger });
    const tls = new ServerTls({
      directory: config.tlsDir,
      clientCaFile: config.clientCaFile,
      runDir: paths.runDir,
      account: paths.account,
      trial,
      clock,
      logger,
    });
    const roles = [{ role: SUPERUSER, passwordFile: config.superuserPasswordFile }];
    const passwords = new RolePasswords({ roles, clock, logger });
    const directory = new WrittenDirectory({ clock, logger });
    const place = {
      tier: config.promotionTier,
      failoverAfterMs: config.failoverAfterMs,
      drainMs: config.switchoverDrainMs,
      warmPagesPerSecond: config.warmPagesPerSecond,
    };
    const parts = { config, paths, segments, settings, rules, tls, directory, place, clock, logger };
    const identity: WriterIdentity = { segment: homeSegment(config.volumeId), writerId: `${config.instance}/${randomUUID()}` };
    const isDead = (writerId: string): boolean => writerId === identity.writerId;
    return new InProcessCompute(writer, segments, readerPhases(parts), writerPhases({ ...parts, identity, isDead, passwords }));
  }

  /** A reader that answers. */
  async read(): Promise<ReaderSession> {
    const session = await this.#session(this.#reads);
    if (!(session instanceof ReaderSession)) throw new Error('no session of a reader');
    return session;
  }

  /** Opens the volume and makes a writer: of a new PostgreSQL, or of a reader's. It may have failed when this resolves. */
  write(standby?: RunningStandby): Promise<Session> {
    return this.#session(this.#writes, standby);
  }

  /** The newest session, also one that does not answer yet. */
  get session(): Session {
    const session = this.#sessions.at(-1);
    if (session === undefined) throw new Error('there was no session yet');
    return session;
  }

  async #session(phases: RolePhases, standby?: RunningStandby): Promise<Session> {
    const opened = await phases.open({ heldEpoch: undefined, volumeExists: true, signal: this.#over.signal, onWaiting: () => undefined });
    if (opened.kind !== 'opened') throw new Error(`the volume is ${opened.kind}`);
    const session = phases.session({
      opened,
      metrics: this.#metrics,
      onStep: () => undefined,
      freePort: () => Promise.resolve(),
      onWriterSign: () => undefined,
      standby,
    });
    this.#sessions.push(session);
    await session.start();
    return session;
  }

  async destroy(): Promise<void> {
    this.#over.abort();
    for (const session of this.#sessions) await session.kill();
    for (const { client } of this.segments) client.close();
  }
}

const NO_GAUGES: Parameters<typeof createMetrics>[1] = {
  replay: () => undefined,
  leaseRemainingMs: () => 0,
  leaseTimesRunOut: () => 0,
  vdl: () => 0n,
  epoch: () => 0n,
  ringBytes: () => 0,
  waitingFlushes: () => 0,
  flushesReturnEarly: () => 0,
  cache: () => undefined,
  load: () => undefined,
  segments: () => [],
};
