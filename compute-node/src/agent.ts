import type { Clock } from '@kube-aurora/clock';
import type { Health, Logger } from '@kube-aurora/process';
import { absenceOf } from './absence.ts';
import type { AgentPhases, Door } from './agent-phases.ts';
import { exitCodeOf, type AgentPhase } from './agent-situation.ts';
import { AgentState } from './agent-state.ts';
import type { AgentEvent } from './agent-table.ts';
import { leaseStatus, replayStatus, segmentStatuses, situationStatus, type SegmentName } from './agent-status.ts';
import type { AgentGauges, AgentMetrics } from './metrics.ts';
import { cacheStatus } from './cache-status.ts';
import type { CacheCounters } from './postgres/cache-file.ts';
import type { OpenedVolume } from './open/open-volume.ts';
import { openingMessage, openingProgress, type OpeningProgress, type OpeningStep } from './open/opening-steps.ts';
import { HOME_GROUP } from './placement.ts';
import { RestartPace } from './restart-pace.ts';
import type { Session, SessionEnd } from './session/session.ts';

export interface AgentOptions {
  readonly role: 'writer' | 'reader';
  readonly instance: string;
  readonly volumeExists: boolean;
  readonly segments: readonly SegmentName[];
  readonly phases: AgentPhases;
  /** What the status says of them. */
  readonly settings: { readonly status: unknown };
  readonly passwords: { readonly status: unknown };
  /** What the shim counted of the local cache; undefined before PostgreSQL was first started. */
  readonly cache: () => CacheCounters | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps a writer running on the volume: bootstraps it when there is none, opens it, supervises PostgreSQL, opens it
 * anew when PostgreSQL is lost. Fenced, it stays where it is: another writer has taken over, and whoever runs us
 * decides.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #phases: AgentPhases;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #startedAt: string;
  readonly #stopping = new AbortController();
  readonly #state: AgentState;
  readonly #door: Door;
  readonly #pace: RestartPace;
  #session: Session | undefined;
  #heldEpoch: bigint | undefined;
  #epoch = 0n;
  #opens = 0;
  #opening: OpeningProgress | undefined;
  #opened: OpenedVolume | undefined;
  #openedAtMs = 0;
  /** The present session, or the last, came to take connections. */
  #hasStarted = false;
  #pauseMs = 0;
  /** Said from outside, or seen by this process. */
  #volumeExists: boolean;
  #lastOpenMs: number | undefined;
  /** Of the sessions before. */
  #leaseTimesRunOut = 0;
  #running: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#phases = options.phases;
    this.#volumeExists = options.volumeExists;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#startedAt = new Date(options.clock.wallTime()).toISOString();
    this.#state = new AgentState(options.clock);
    this.#door = options.phases.door(() => absenceOf(this.#state.situation));
    this.#pace = new RestartPace(() => options.clock.random());
  }

  /** What the metrics read when they are scraped. */
  readonly gauges: AgentGauges = {
    replay: () => this.#session?.replay,
    leaseRemainingMs: () => this.#session?.lease?.remainingMs ?? 0,
    leaseTimesRunOut: () => this.#leaseTimesRunOut + (this.#session?.lease?.timesRunOut ?? 0),
    vdl: () => this.#session?.volume.vdl ?? 0n,
    epoch: () => this.#epoch,
    ringBytes: () => this.#session?.writePath?.ringBytes ?? 0,
    waitingFlushes: () => this.#session?.writePath?.waitingFlushes ?? 0,
    cache: () => this.#options.cache(),
    segments: () =>
      this.#options.segments.map(({ index, id, zone }) => {
        const state = this.#session?.writePath?.segment(HOME_GROUP, index);
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
    const { role, instance, settings, passwords } = this.#options;
    const writing = this.#session?.writePath;
    // A reader feeds none.
    const segments = role === 'reader' ? [] : segmentStatuses(this.#options.segments, writing);
    return {
      role,
      instance,
      ...situationStatus(this.#state, {
        segments,
        flushMs: writing?.oldestFlushMs ?? 0,
        lease: this.#session?.lease,
        openingStep: this.#opening?.step,
        wallTime: this.#clock.wallTime(),
      }),
      lastFailure: this.#state.lastFailure,
      epoch: this.#epoch,
      vdl: this.#session?.volume.vdl ?? 0n,
      ...replayStatus(this.#session?.replay),
      startedAt: this.#startedAt,
      opens: this.#opens,
      ...(this.phase === 'opening' ? { opening: this.#opening } : {}),
      lastOpenMs: this.#lastOpenMs,
      ...leaseStatus(this.#session?.lease),
      postgres: { pid: this.#session?.postgresPid, ready: this.#session?.ready ?? false },
      settings: settings.status,
      passwords: passwords.status,
      cache: cacheStatus(this.#options.cache()),
      segments,
    };
  }

  /** Resolves when it is fenced or was stopped. */
  run(metrics: AgentMetrics): Promise<void> {
    this.#running = this.#loop(metrics);
    return this.#running;
  }

  /** Ordered stop: PostgreSQL's last WAL becomes durable first. Waits `quorumWaitMs` for that, no longer. */
  async stop(quorumWaitMs: number): Promise<void> {
    this.#state.on('stop', 'stopping');
    this.#stopping.abort();
    const session = this.#session;
    if (session !== undefined) {
      const late = this.#clock.after(quorumWaitMs, () => {
        this.#state.on('noQuorum', 'storage did not take the shutdown checkpoint in time');
        this.#logger.error(
          { quorumWaitMs },
          'storage has no quorum for the shutdown checkpoint; stopping without it (nothing acknowledged is lost)',
        );
        void session.kill();
      });
      await session.stop();
      late.cancel();
    }
    await this.#running;
    await this.#door.close();
  }

  /** Does the work of the step that the table says, until that is none. */
  async #loop(metrics: AgentMetrics): Promise<void> {
    const strays = this.#phases.clear();
    if (strays.length > 0) this.#logger.warn({ pids: strays }, 'killed the PostgreSQL that an earlier agent left');
    this.#door.take();
    for (;;) {
      switch (this.#state.step) {
        case 'asking':
          await this.#open(metrics);
          break;
        case 'bootstrapping':
          await this.#bootstrap();
          break;
        case 'starting':
          await this.#startSession(metrics);
          break;
        case 'running':
          await this.#sessionEnds();
          break;
        case 'pausing':
          if (this.#pauseMs > 0) await this.#clock.sleep(this.#pauseMs, this.#stopping.signal);
          this.#state.on('resumed');
          break;
        case 'fenced':
          return;
        case 'stopping':
        case 'stoppingFenced':
          if (this.#session !== undefined) await this.#sessionEnds();
          return;
      }
    }
  }

  async #open(metrics: AgentMetrics): Promise<void> {
    this.#openedAtMs = this.#clock.now();
    this.#step('volume');
    const opened = await this.#phases.open({
      heldEpoch: this.#heldEpoch,
      volumeExists: this.#volumeExists,
      signal: this.#stopping.signal,
      onWaiting: (hindrance) => {
        if (hindrance?.kind === 'storage') this.#state.on('progress', `waiting for storage: ${hindrance.message}`);
        else if (hindrance !== undefined) this.#state.on(hindrance.kind, hindrance.message);
      },
    });
    metrics.opens.inc({ outcome: opened.kind });
    if (opened.kind === 'opened' || opened.kind === 'bootstrap') {
      // From here on a higher epoch than ours can only be another writer's.
      this.#heldEpoch = opened.epoch;
      this.#epoch = opened.epoch;
    }
    switch (opened.kind) {
      case 'opened':
        this.#volumeExists = true;
        this.#opened = opened;
        this.#state.on('opened');
        break;
      case 'bootstrap':
        this.#state.on('absent');
        break;
      case 'overtaken':
        this.#fenced('another writer opened the volume while we did');
        break;
      case 'stopped':
        this.#state.on('stopped', 'stopping');
        break;
    }
  }

  async #bootstrap(): Promise<void> {
    const made = await this.#phases.bootstrap({
      epoch: this.#epoch,
      signal: this.#stopping.signal,
      onTrying: () => this.#state.on('progress', 'making a new volume'),
      onRefused: (why) => this.#state.on('refused', why),
    });
    if (made) {
      this.#volumeExists = true;
      this.#state.on('made');
    } else {
      this.#pauseMs = this.#pace.afterBootstrap();
      this.#state.on('notMade', 'storage did not take the new volume; trying again');
    }
  }

  async #startSession(metrics: AgentMetrics): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) throw new Error('a session without a volume');
    const openedMs = this.#clock.now() - this.#openedAtMs;
    const session = this.#phases.session({
      opened,
      metrics,
      onStep: (step) => this.#step(step),
      freePort: () => this.#door.release(),
    });
    this.#session = session;
    this.#opens++;
    this.#hasStarted = false;
    await session.start();
    if (!session.ready) {
      await this.#sessionEnds();
      return;
    }
    this.#hasStarted = true;
    this.#state.on('ready', 'running');
    this.#lastOpenMs = Math.round(this.#clock.now() - this.#openedAtMs);
    metrics.openSeconds.observe(this.#lastOpenMs / 1000);
    this.#logger.info(
      { epoch: opened.epoch, openedMs: Math.round(openedMs), readyMs: this.#lastOpenMs },
      `${this.#options.role} is running`,
    );
  }

  /** Waits for it. */
  async #sessionEnds(): Promise<void> {
    const end = await this.#session?.ended;
    if (end === undefined) throw new Error('no session to wait for');
    this.#leaseTimesRunOut += this.#session?.lease?.timesRunOut ?? 0;
    this.#session = undefined;
    this.#door.take();
    const livedMs = this.#clock.now() - this.#openedAtMs;
    if (end.kind === 'restarting') this.#pauseMs = this.#pace.afterSession('restarting', livedMs);
    else this.#pauseMs = this.#pace.afterSession(this.#hasStarted ? 'ended' : 'not-started', livedMs);
    if (end.kind === 'fenced') this.#fenced(end.message);
    else this.#state.on(eventOf(end), messageOf(end));
  }

  #step(step: OpeningStep): void {
    this.#opening = openingProgress(step, this.#clock.wallTime());
    this.#state.on('progress', openingMessage(this.#opening));
  }

  #fenced(message: string): void {
    this.#state.on('fenced', message);
    this.#logger.fatal({ epoch: this.#epoch, reason: message }, 'fenced: another writer owns the volume; this one stays down');
  }
}

/** What the end of a session is to the agent. */
function eventOf(end: SessionEnd): AgentEvent {
  switch (end.kind) {
    case 'failed':
      return end.reason;
    case 'damaged':
      return 'damagedWal';
    case 'fenced':
    case 'restarting':
    case 'stopped':
      return end.kind;
    case 'handedOver':
      throw new Error('a session was handed over, and none took its place');
  }
}

function messageOf(end: SessionEnd): string {
  switch (end.kind) {
    case 'failed':
    case 'damaged':
    case 'fenced':
      return end.message;
    case 'restarting':
      return `restarting PostgreSQL: ${end.why}`;
    case 'stopped':
      return 'stopping';
    case 'handedOver':
      return 'the writer is made of the reader';
  }
}
