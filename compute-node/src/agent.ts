import { randomUUID } from 'node:crypto';
import { Backoff, type Clock } from '@kube-aurora/clock';
import type { Health, Logger } from '@kube-aurora/process';
import { encodePageKey, encodeVolumeState } from '@kube-aurora/redo';
import type { PageImage } from '@kube-aurora/rpc';
import { absenceOf } from './absence.ts';
import { AgentState, exitCodeOf, type AgentPhase, type AgentSituation } from './agent-state.ts';
import { ImportFailedError, importBase } from './bootstrap/import-base.ts';
import { makeVolume } from './bootstrap/make-volume.ts';
import type { AgentConfig } from './config.ts';
import type { AgentGauges, AgentMetrics } from './metrics.ts';
import { openVolume, type OpenedVolume } from './open/open-volume.ts';
import { openingMessage, openingProgress, type OpeningProgress, type OpeningStep } from './open/opening-steps.ts';
import { HOME_GROUP, homeSegment } from './placement.ts';
import type { PostgresPlace } from './postgres-place.ts';
import type { InitialVolume } from './postgres/initdb.ts';
import { StandIn } from './postgres/stand-in.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { killStrays } from './postgres/strays.ts';
import type { SegmentEndpoint, WriterIdentity } from './segments.ts';
import { WriterSession } from './session.ts';
import type { PostgresSettings } from './settings/postgres-settings.ts';

/** A session that lived this long was healthy; shorter ones count towards backing off. */
const HEALTHY_SESSION_MS = 10_000;
const RAPID_FAILURES_FREE = 3;
/** Longest pause before another start of a PostgreSQL that never came to take a connection. */
const START_BACKOFF_MAX_MS = 60_000;
/** A flush that waits for longer than this waits for daemons that are away. */
const QUORUM_LATE_MS = 3000;

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly place: PostgresPlace;
  readonly segments: readonly SegmentEndpoint[];
  readonly settings: PostgresSettings;
  readonly passwords: RolePasswords;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps a writer running on the volume: bootstraps it when there is none, opens it, supervises PostgreSQL, opens it anew
 * when PostgreSQL is lost. Fenced, it stays where it is: another writer has taken over, and whoever runs us decides.
 */
export class Agent {
  readonly #config: AgentConfig;
  readonly #place: PostgresPlace;
  readonly #segments: readonly SegmentEndpoint[];
  readonly #identity: WriterIdentity;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #settings: PostgresSettings;
  readonly #passwords: RolePasswords;
  readonly #startedAt = new Date();
  readonly #stopping = new AbortController();
  readonly #state: AgentState;
  readonly #standIn: StandIn;
  #session: WriterSession | undefined;
  #heldEpoch: bigint | undefined;
  #epoch = 0n;
  #opens = 0;
  #opening: OpeningProgress | undefined;
  /** Said from outside, or seen by this process. */
  #volumeExists: boolean;
  #lastOpenMs: number | undefined;
  #running: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#config = options.config;
    this.#place = options.place;
    this.#segments = options.segments;
    this.#volumeExists = options.config.volumeExists;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#state = new AgentState(options.clock);
    this.#standIn = new StandIn({
      listen: options.config.pgListen,
      absence: () => absenceOf(this.#state.situation),
      clock: options.clock,
      logger: options.logger,
    });
    this.#settings = options.settings;
    this.#passwords = options.passwords;
    this.#identity = { segment: homeSegment(options.config.volumeId), writerId: `${options.config.instance}/${randomUUID()}` };
  }

  /** What the metrics read when they are scraped. */
  readonly gauges: AgentGauges = {
    vdl: () => this.#session?.writePath.vdl ?? 0n,
    epoch: () => this.#epoch,
    ringBytes: () => this.#session?.writePath.ringBytes ?? 0,
    waitingFlushes: () => this.#session?.writePath.waitingFlushes ?? 0,
    segments: () =>
      this.#segments.map(({ index, id, zone }) => {
        const state = this.#session?.writePath.segment(HOME_GROUP, index);
        return {
          id,
          zone,
          scl: state?.scl ?? 0n,
          inFlightBytes: state?.inFlightBytes ?? 0,
          streaming: state?.phase === 'streaming',
          errors: state?.errors ?? 0,
        };
      }),
  };

  get phase(): AgentPhase {
    return this.#state.situation.phase;
  }
  get exitCode(): number {
    return exitCodeOf(this.#state.situation);
  }

  /** Asks PostgreSQL itself, for a bounded time. */
  async ready(): Promise<Health> {
    if (this.phase !== 'running' || this.#session?.ready !== true) {
      return { ok: false, message: `${this.phase}: ${this.#state.message}` };
    }
    const ok = await this.#session.answers();
    return { ok, message: ok ? 'running' : 'PostgreSQL does not take connections' };
  }

  status(): unknown {
    const writePath = this.#session?.writePath;
    const sent = writePath?.sentLsn ?? 0n;
    return {
      role: 'writer',
      instance: this.#config.instance,
      ...this.#situation(),
      lastFailure: this.#state.lastFailure,
      epoch: this.#epoch,
      vdl: writePath?.vdl ?? 0n,
      startedAt: this.#startedAt.toISOString(),
      opens: this.#opens,
      ...(this.#state.situation.phase === 'opening' ? { opening: this.#opening } : {}),
      lastOpenMs: this.#lastOpenMs,
      postgres: { pid: this.#session?.postgresPid, ready: this.#session?.ready ?? false },
      settings: this.#settings.status,
      passwords: this.#passwords.status,
      segments: this.#segments.map(({ index, id, zone }) => {
        const state = writePath?.segment(HOME_GROUP, index);
        const scl = state?.scl ?? 0n;
        return {
          id,
          zone,
          scl,
          state: state?.phase ?? 'unknown',
          behindBytes: Number(sent > scl ? sent - scl : 0n),
          error: state?.lastError ?? '',
        };
      }),
    };
  }

  /** A writer whose commits wait for storage is running, and says that they do. */
  #situation(): AgentSituation & { readonly since: string; readonly message: string } {
    const { situation, since, message } = this.#state;
    const waitedMs = this.#session?.writePath.oldestFlushMs ?? 0;
    if (situation.phase !== 'running' || waitedMs < QUORUM_LATE_MS) return { ...situation, since, message };
    return {
      phase: 'running',
      reason: 'noQuorum',
      since: new Date(this.#clock.wallTime() - waitedMs).toISOString(),
      message: 'commits wait: fewer than four storage daemons take redo',
    };
  }

  /** Resolves when it is fenced or was stopped. */
  run(metrics: AgentMetrics): Promise<void> {
    this.#running = this.#loop(metrics);
    return this.#running;
  }

  /** Ordered stop: PostgreSQL's last WAL becomes durable first. Waits `quorumWaitMs` for that, no longer. */
  async stop(quorumWaitMs: number): Promise<void> {
    this.#state.enter({ phase: 'stopping', reason: 'stopping' }, 'stopping');
    this.#stopping.abort();
    const session = this.#session;
    if (session !== undefined) {
      const late = setTimeout(() => {
        this.#state.enter({ phase: 'stopping', reason: 'noQuorum' }, 'storage did not take the shutdown checkpoint in time');
        this.#logger.error(
          { quorumWaitMs },
          'storage has no quorum for the shutdown checkpoint; stopping without it (nothing acknowledged is lost)',
        );
        void session.kill();
      }, quorumWaitMs);
      await session.stop();
      clearTimeout(late);
    }
    await this.#running;
    await this.#standIn.close();
  }

  async #loop(metrics: AgentMetrics): Promise<void> {
    const strays = killStrays(this.#place.dataDir);
    if (strays.length > 0) this.#logger.warn({ pids: strays }, 'killed the PostgreSQL that an earlier agent left');
    this.#standIn.take();
    const backoff = new Backoff(200, 10_000, () => this.#clock.random());
    // Each start takes an epoch, and an epoch is for ever: one that cannot succeed is tried ever more seldom.
    const startBackoff = new Backoff(200, START_BACKOFF_MAX_MS, () => this.#clock.random());
    let rapidFailures = 0;
    while (!this.#stopping.signal.aborted) {
      const startedAt = this.#clock.now();
      this.#enterStep('volume', 'waitingForStorage');
      const opened = await openVolume({
        segments: this.#segments,
        identity: this.#identity,
        heldEpoch: this.#heldEpoch,
        clock: this.#clock,
        volumeExists: this.#volumeExists,
        logger: this.#logger,
        signal: this.#stopping.signal,
        onWaiting: (reason) => {
          if (reason !== '') this.#state.enter({ phase: 'opening', reason: 'waitingForStorage' }, `waiting for storage: ${reason}`);
        },
      });
      metrics.opens.inc({ outcome: opened.kind });
      if (opened.kind === 'stopped') return;
      if (opened.kind === 'overtaken') {
        this.#fenced('another writer opened the volume while we did');
        return;
      }
      // From here on a higher epoch than ours can only be another writer's.
      this.#heldEpoch = opened.epoch;
      this.#epoch = opened.epoch;
      if (opened.kind === 'opened') this.#volumeExists = true;
      if (opened.kind === 'bootstrap') {
        if (!(await this.#bootstrap(opened.epoch))) await this.#clock.sleep(backoff.next(), this.#stopping.signal);
        continue;
      }
      const end = await this.#runSession(opened, startedAt, metrics);
      if (end === 'fenced' || this.#stopping.signal.aborted) return;
      if (end === 'restarting') continue;
      if (this.#clock.now() - startedAt > HEALTHY_SESSION_MS) {
        rapidFailures = 0;
        backoff.reset();
      }
      if (end === 'ended') startBackoff.reset();
      if (++rapidFailures >= RAPID_FAILURES_FREE)
        await this.#clock.sleep((end === 'ended' ? backoff : startBackoff).next(), this.#stopping.signal);
    }
  }

  async #runSession(
    opened: OpenedVolume,
    startedAt: number,
    metrics: AgentMetrics,
  ): Promise<'fenced' | 'restarting' | 'not-started' | 'ended'> {
    const { config, segments, identity, logger } = {
      config: this.#config,
      segments: this.#segments,
      identity: this.#identity,
      logger: this.#logger,
    };
    const openedMs = this.#clock.now() - startedAt;
    const session = new WriterSession({
      config,
      place: this.#place,
      segments,
      identity,
      opened,
      onStep: (step) => this.#enterStep(step, 'startingPostgres'),
      settings: this.#settings,
      passwords: this.#passwords,
      metrics,
      freePort: () => this.#standIn.release(),
      clock: this.#clock,
      logger,
    });
    this.#session = session;
    this.#opens++;
    await session.start();
    const started = session.ready;
    if (started && !this.#stopping.signal.aborted) {
      this.#state.enter({ phase: 'running', reason: 'none' }, 'running');
      this.#lastOpenMs = Math.round(this.#clock.now() - startedAt);
      metrics.openSeconds.observe(this.#lastOpenMs / 1000);
      logger.info({ epoch: opened.epoch, openedMs: Math.round(openedMs), readyMs: this.#lastOpenMs }, 'writer is running');
    }
    if (this.#stopping.signal.aborted) void session.stop();
    const end = await session.ended;
    this.#standIn.take();
    this.#session = undefined;
    if (end.kind === 'fenced') {
      this.#fenced(end.message);
      return 'fenced';
    }
    if (end.kind === 'failed' && !this.#stopping.signal.aborted) this.#state.failed(end.reason, end.message);
    if (end.kind === 'restarting') {
      this.#state.enter({ phase: 'opening', reason: 'startingPostgres' }, `restarting PostgreSQL: ${end.why}`);
      return 'restarting';
    }
    return started ? 'ended' : 'not-started';
  }

  #enterStep(step: OpeningStep, reason: 'waitingForStorage' | 'startingPostgres'): void {
    this.#opening = openingProgress(step, this.#clock.wallTime());
    this.#state.enter({ phase: 'opening', reason }, openingMessage(this.#opening));
  }

  #fenced(message: string): void {
    this.#state.enter({ phase: 'fenced', reason: 'fenced' }, message);
    this.#logger.fatal({ epoch: this.#epoch, reason: message }, 'fenced: another writer owns the volume; this one stays down');
  }

  /** Makes a volume and gives it to storage. False when storage did not take it: the next open decides again. */
  async #bootstrap(epoch: bigint): Promise<boolean> {
    const { appUser, appDatabase, settingsDir, initSqlDir } = this.#config;
    this.#logger.info({ epoch }, 'there is no volume yet, making one');
    const volume = await makeVolume({
      place: this.#place,
      application: { user: appUser, database: appDatabase },
      settingsDir,
      sqlDir: initSqlDir,
      settings: this.#settings,
      onTrying: () => this.#state.enter({ phase: 'bootstrapping', reason: 'none' }, 'making a new volume'),
      onRefused: (why) => this.#state.enter({ phase: 'bootstrapping', reason: 'initdbRefused' }, why),
      clock: this.#clock,
      logger: this.#logger.child({ part: 'initdb' }),
      signal: this.#stopping.signal,
    });
    if (volume === undefined) return false;
    try {
      await importBase({
        segments: this.#segments,
        identity: this.#identity,
        epoch,
        content: {
          systemIdentifier: volume.systemIdentifier,
          baseLsn: volume.baseLsn,
          volumeState: encodeVolumeState(volume.state),
          pages: pageImages(volume),
        },
        clock: this.#clock,
        logger: this.#logger,
      });
      this.#volumeExists = true;
      return true;
    } catch (error) {
      if (!(error instanceof ImportFailedError)) throw error;
      this.#logger.warn({ reason: error.message }, 'storage did not take the new volume; trying again');
      return false;
    } finally {
      await volume.discard();
    }
  }
}

function* pageImages(volume: InitialVolume): Generator<PageImage> {
  for (const { page, bytes } of volume.pages()) yield { key: encodePageKey(page), page: bytes };
}
