import type { Clock } from '@kube-aurora/clock';
import type { Health, Logger } from '@kube-aurora/process';
import { absenceOf } from './absence.ts';
import type { AgentPhases, Door, Session } from './agent-phases.ts';
import { AgentState, exitCodeOf, type AgentPhase } from './agent-state.ts';
import { segmentStatuses, situationStatus, type SegmentPlace } from './agent-status.ts';
import type { AgentGauges, AgentMetrics } from './metrics.ts';
import type { OpenedVolume } from './open/open-volume.ts';
import { openingMessage, openingProgress, type OpeningProgress, type OpeningStep } from './open/opening-steps.ts';
import { HOME_GROUP } from './placement.ts';
import { RestartPace, type SessionOutcome } from './restart-pace.ts';

export interface AgentOptions {
  readonly instance: string;
  readonly volumeExists: boolean;
  readonly segments: readonly SegmentPlace[];
  readonly phases: AgentPhases;
  /** What the status says of them. */
  readonly settings: { readonly status: unknown };
  readonly passwords: { readonly status: unknown };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps a writer running on the volume: bootstraps it when there is none, opens it, supervises PostgreSQL, opens it anew
 * when PostgreSQL is lost. Fenced, it stays where it is: another writer has taken over, and whoever runs us decides.
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
  /** Said from outside, or seen by this process. */
  #volumeExists: boolean;
  #lastOpenMs: number | undefined;
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
    vdl: () => this.#session?.volume.vdl ?? 0n,
    epoch: () => this.#epoch,
    ringBytes: () => this.#session?.writePath?.ringBytes ?? 0,
    waitingFlushes: () => this.#session?.writePath?.waitingFlushes ?? 0,
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
    const { instance, settings, passwords } = this.#options;
    const writing = this.#session?.writePath;
    const segments = segmentStatuses(this.#options.segments, writing);
    return {
      role: 'writer',
      instance,
      ...situationStatus(this.#state, segments, writing?.oldestFlushMs ?? 0, this.#clock.wallTime()),
      lastFailure: this.#state.lastFailure,
      epoch: this.#epoch,
      vdl: this.#session?.volume.vdl ?? 0n,
      startedAt: this.#startedAt,
      opens: this.#opens,
      ...(this.phase === 'opening' ? { opening: this.#opening } : {}),
      lastOpenMs: this.#lastOpenMs,
      postgres: { pid: this.#session?.postgresPid, ready: this.#session?.ready ?? false },
      settings: settings.status,
      passwords: passwords.status,
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
    this.#state.enter({ phase: 'stopping', reason: 'stopping' }, 'stopping');
    this.#stopping.abort();
    const session = this.#session;
    if (session !== undefined) {
      const late = this.#clock.after(quorumWaitMs, () => {
        this.#state.enter({ phase: 'stopping', reason: 'noQuorum' }, 'storage did not take the shutdown checkpoint in time');
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

  async #loop(metrics: AgentMetrics): Promise<void> {
    const strays = this.#phases.clear();
    if (strays.length > 0) this.#logger.warn({ pids: strays }, 'killed the PostgreSQL that an earlier agent left');
    this.#door.take();
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedAt = this.#clock.now();
      const opened = await this.#open(metrics);
      if (opened === undefined) return;
      let pauseMs: number;
      if (opened.kind === 'bootstrap') {
        const made = await this.#bootstrap(opened.epoch);
        if (made) this.#volumeExists = true;
        pauseMs = made ? 0 : this.#pace.afterBootstrap();
      } else {
        this.#volumeExists = true;
        const end = await this.#runSession(opened, startedAt, metrics);
        if (end === 'fenced' || signal.aborted) return;
        pauseMs = this.#pace.afterSession(end, this.#clock.now() - startedAt);
      }
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, signal);
    }
  }

  /** Undefined when it was stopped or is fenced. */
  async #open(metrics: AgentMetrics): Promise<OpenedVolume | { readonly kind: 'bootstrap'; readonly epoch: bigint } | undefined> {
    this.#enterStep('volume', 'waitingForStorage');
    const opened = await this.#phases.open({
      heldEpoch: this.#heldEpoch,
      volumeExists: this.#volumeExists,
      signal: this.#stopping.signal,
      onWaiting: (reason) => {
        if (reason !== '') this.#state.enter({ phase: 'opening', reason: 'waitingForStorage' }, `waiting for storage: ${reason}`);
      },
    });
    metrics.opens.inc({ outcome: opened.kind });
    if (opened.kind === 'stopped') return undefined;
    if (opened.kind === 'overtaken') {
      this.#fenced('another writer opened the volume while we did');
      return undefined;
    }
    // From here on a higher epoch than ours can only be another writer's.
    this.#heldEpoch = opened.epoch;
    this.#epoch = opened.epoch;
    return opened;
  }

  #bootstrap(epoch: bigint): Promise<boolean> {
    return this.#phases.bootstrap({
      epoch,
      signal: this.#stopping.signal,
      onTrying: () => this.#state.enter({ phase: 'bootstrapping', reason: 'none' }, 'making a new volume'),
      onRefused: (why) => this.#state.enter({ phase: 'bootstrapping', reason: 'initdbRefused' }, why),
    });
  }

  async #runSession(opened: OpenedVolume, startedAt: number, metrics: AgentMetrics): Promise<'fenced' | SessionOutcome> {
    const openedMs = this.#clock.now() - startedAt;
    const { signal } = this.#stopping;
    const session = this.#phases.session({
      opened,
      metrics,
      onStep: (step) => this.#enterStep(step, 'startingPostgres'),
      freePort: () => this.#door.release(),
    });
    this.#session = session;
    this.#opens++;
    await session.start();
    const started = session.ready;
    if (started && !signal.aborted) {
      this.#state.enter({ phase: 'running', reason: 'none' }, 'running');
      this.#lastOpenMs = Math.round(this.#clock.now() - startedAt);
      metrics.openSeconds.observe(this.#lastOpenMs / 1000);
      this.#logger.info({ epoch: opened.epoch, openedMs: Math.round(openedMs), readyMs: this.#lastOpenMs }, 'writer is running');
    }
    if (signal.aborted) void session.stop();
    const end = await session.ended;
    this.#door.take();
    this.#session = undefined;
    if (end.kind === 'fenced') {
      this.#fenced(end.message);
      return 'fenced';
    }
    if (end.kind === 'failed' && !signal.aborted) this.#state.failed(end.reason, end.message);
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
}
