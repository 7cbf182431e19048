import type { Clock } from '@kube-aurora/clock';
import { StatusVersion, type Health, type Logger } from '@kube-aurora/process';
import { absenceOf } from './absence.ts';
import { AgentActions } from './agent-actions.ts';
import type { AgentPhases, Door, OpenHow, RoleChoice, RolePhases } from './agent-phases.ts';
import { AgentReport, type AgentReportOptions } from './agent-report.ts';
import { AgentRole } from './agent-role.ts';
import { eventOf, messageOf } from './agent-session-end.ts';
import { endInOrder } from './end-in-order.ts';
import { exitCodeOf, type AgentPhase } from './agent-situation.ts';
import { AgentState } from './agent-state.ts';
import type { AgentGauges, AgentMetrics } from './metrics.ts';
import type { OpenedVolume, OpenOutcome } from './open/open-volume.ts';
import { openingMessage, openingProgress, type OpeningStep } from './open/opening-steps.ts';
import type { RunningStandby } from './reader/running-standby.ts';
import { RestartPace } from './restart-pace.ts';
import type { Session } from './session/session.ts';

export interface AgentOptions extends AgentReportOptions {
  readonly roles: RoleChoice;
  readonly volumeExists: boolean;
  readonly phases: AgentPhases;
  readonly logger: Logger;
}

/** How long one of the role auto looks for something to follow until it asks again who is to write. */
const FIND_START_WITHIN_MS = 5000;

/**
 * Keeps a PostgreSQL running on the volume, in the role that it was given.
 *
 * A writer bootstraps the volume when there is none, opens it, supervises PostgreSQL, opens it anew when PostgreSQL is lost. Fenced,
 * it stays where it is: another writer has taken over, and whoever runs us decides. A reader follows the volume for good.
 *
 * With the role auto storage decides, each time that there is no session: a reader where there is a writer to follow, the
 * writer where there is none and it is our turn. A reader that is elected opens the volume while it goes on as a reader; only
 * when that has succeeded it is one no longer. A writer that is overtaken asks again, and follows who overtook it.
 */
export class Agent {
  readonly #phases: AgentPhases;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  readonly #state: AgentState;
  readonly #report: AgentReport;
  readonly #door: Door;
  readonly #pace: RestartPace;
  #session: Session | undefined;
  readonly #role: AgentRole;
  #heldEpoch: bigint | undefined;
  #epoch = 0n;
  #opened: OpenedVolume | undefined;
  #openedAtMs = 0;
  /** A reader's PostgreSQL is becoming the writer's. */
  #isPromoting = false;
  /** The present session, or the last, came to take connections. */
  #hasStarted = false;
  #pauseMs = 0;
  /** Said from outside, or seen by this process. */
  #volumeExists: boolean;
  #running: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#phases = options.phases;
    this.#role = new AgentRole(options.roles, options.instance, options.clock);
    this.#volumeExists = options.volumeExists;
    this.#clock = options.clock;
    this.#logger = options.logger;
    const startedAt = new Date(options.clock.wallTime()).toISOString();
    const version = new StatusVersion(`${options.instance} ${startedAt}`);
    const state = new AgentState(options.clock, () => version.changed());
    this.version = version;
    this.#state = state;
    const session = (): Session | undefined => this.#session;
    this.#report = new AgentReport(options, { version, state, role: this.#role, startedAt, session, epoch: () => this.#epoch });
    this.actions = new AgentActions({ ...options, role: this.#role, state, session, signal: this.#stopping.signal });
    this.#door = options.phases.door(() => absenceOf(this.#state.situation));
    this.#pace = new RestartPace(() => options.clock.random());
  }

  /** Of the status: another one when role, phase or reason are. */
  readonly version: StatusVersion;

  /** What can be asked of it. */
  readonly actions: AgentActions;

  /** What the metrics read when they are scraped. */
  get gauges(): AgentGauges {
    return this.#report.gauges;
  }
  /** The epoch that it runs in, or ran in last. */
  get epoch(): bigint | undefined {
    return this.#epoch === 0n ? undefined : this.#epoch;
  }
  get phase(): AgentPhase {
    return this.#state.situation.phase;
  }
  get exitCode(): number {
    return exitCodeOf(this.#state.situation);
  }

  /** Asks PostgreSQL itself, for a bounded time. */
  async ready(): Promise<Health> {
    // It answers readers up to the moment when it writes. Whoever took it out of its Services for that long would miss the first second of
    // the new writer: probes come once a second.
    if (this.#isPromoting) return { ok: true, message: "a reader's PostgreSQL becomes the writer's" };
    if (this.phase !== 'running' || this.#session?.ready !== true) {
      return { ok: false, message: `${this.phase}: ${this.#state.message}` };
    }
    const ok = await this.#session.answers();
    return { ok, message: ok ? 'running' : 'PostgreSQL does not take connections' };
  }

  status(): object {
    return this.#report.status();
  }

  /** Resolves when it is fenced or was stopped. */
  run(metrics: AgentMetrics): Promise<void> {
    this.#running = this.#loop(metrics);
    return this.#running;
  }

  /** Ordered stop: PostgreSQL's last WAL becomes durable first. Waits `quorumWaitMs` for that, no longer (endInOrder). */
  async stop(quorumWaitMs: number): Promise<void> {
    this.#state.on('stop', 'stopping');
    this.#stopping.abort();
    this.#role.leave();
    const session = this.#session;
    if (session !== undefined) {
      await endInOrder({
        session,
        quorumWaitMs,
        makeRoom: () => this.actions.makeRoom(),
        onNoQuorum: (message) => this.#state.on('noQuorum', message),
        clock: this.#clock,
        logger: this.#logger,
      });
    }
    await this.#running;
    await this.#door.close();
  }

  /** Does the work of the step that the table says, until that is none. */
  async #loop(metrics: AgentMetrics): Promise<void> {
    const strays = await this.#phases.clear();
    if (strays.length > 0) this.#logger.warn({ pids: strays }, 'killed the PostgreSQL that an earlier agent left');
    this.#door.take();
    for (;;) {
      switch (this.#state.step) {
        case 'asking':
          if (await this.#takesRole()) await this.#open(metrics);
          break;
        case 'bootstrapping':
          await this.#bootstrap();
          break;
        case 'starting':
          await this.#startSession(metrics);
          break;
        case 'running':
          await this.#runSession();
          break;
        case 'takingOver':
          await this.#takeOver(metrics);
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

  /** True when it is known what we are. */
  async #takesRole(): Promise<boolean> {
    if (this.#role.election === undefined) return true;
    if (!this.#role.hasTurn) this.#state.on('undecided', 'asking storage who the writer is');
    const decided = await this.#role.decide({
      signal: this.#stopping.signal,
      onWaiting: (hindrance) => {
        if (hindrance !== undefined) this.#state.on('undecided', hindrance.message);
      },
    });
    if (decided === 'stopped') {
      this.#state.on('stopped', 'stopping');
      return false;
    }
    this.#heldEpoch = decided.heldEpoch;
    return true;
  }

  async #open(metrics: AgentMetrics): Promise<void> {
    this.#openedAtMs = this.#clock.now();
    this.#step('volume');
    const isBounded = this.#role.election !== undefined && this.#role.isReader;
    const late = new AbortController();
    const timer = isBounded ? this.#clock.after(FIND_START_WITHIN_MS, () => late.abort()) : undefined;
    const opened = await this.#openAs(this.#role.phases, metrics, {
      heldEpoch: this.#heldEpoch,
      volumeExists: this.#volumeExists,
      signal: AbortSignal.any([this.#stopping.signal, late.signal]),
      onWaiting: (hindrance) => {
        if (hindrance?.kind === 'storage') this.#state.on('progress', `waiting for storage: ${hindrance.message}`);
        else if (hindrance !== undefined) this.#state.on(hindrance.kind, hindrance.message);
      },
    });
    timer?.cancel();
    switch (opened.kind) {
      case 'opened':
        this.#state.on('opened');
        break;
      case 'bootstrap':
        this.#state.on('absent');
        break;
      case 'overtaken':
        this.#overtaken('another writer opened the volume while we did');
        break;
      case 'stopped':
        if (late.signal.aborted && !this.#stopping.signal.aborted) this.#state.on('yielded', 'found nothing to follow');
        else this.#state.on('stopped', 'stopping');
        break;
    }
  }

  async #openAs(phases: RolePhases, metrics: AgentMetrics, how: OpenHow): Promise<OpenOutcome> {
    const opened = await phases.open(how);
    metrics.opens.inc({ outcome: opened.kind });
    if (opened.kind === 'opened' || opened.kind === 'bootstrap') {
      // From here on a higher epoch than ours can only be another writer's.
      this.#heldEpoch = opened.epoch;
      this.#epoch = opened.epoch;
    }
    if (opened.kind === 'opened') {
      this.#volumeExists = true;
      this.#opened = opened;
      this.#role.failingOver?.opened();
    }
    return opened;
  }

  async #bootstrap(): Promise<void> {
    const made = await this.#role.writing.bootstrap({
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

  /** `standby`: the reader's PostgreSQL that the writer is made of; undefined: a new one is started. */
  async #startSession(metrics: AgentMetrics, standby?: RunningStandby): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) throw new Error('a session without a volume');
    const openedMs = this.#clock.now() - this.#openedAtMs;
    const onStep = (step: OpeningStep): void => this.#step(step);
    const session = this.#role.session({ opened, metrics, onStep, freePort: () => this.#door.release(), standby });
    this.#session = session;
    this.#report.sessionBegan();
    this.#hasStarted = false;
    const started = session.start();
    await Promise.race([started, this.#role.elected]);
    if (this.#role.hasTurn && !session.ready) {
      // It may wait for what comes only once there is a writer.
      await session.kill();
      await started;
      this.#letGo();
      this.#state.on('elected', 'it is our turn to be the writer');
      return;
    }
    if (!session.ready) {
      await this.#sessionEnds();
      return;
    }
    this.#hasStarted = true;
    this.#state.on('ready', 'running');
    const readyMs = Math.round(this.#clock.now() - this.#openedAtMs);
    this.#report.sessionIsReady(readyMs);
    metrics.openSeconds.observe(readyMs / 1000);
    this.#logger.info({ epoch: opened.epoch, openedMs: Math.round(openedMs), readyMs }, `${this.#role.present} is running`);
    const failover = this.#role.answers(standby !== undefined, (phase, seconds) => metrics.failoverSeconds.observe({ phase }, seconds));
    if (failover === undefined) return;
    metrics.failovers.inc({ reason: failover.reason });
    this.#logger.warn({ epoch: opened.epoch, ...failover.status }, "took another compute's place as the writer");
  }

  /** Until it ends, or is to be a writer. */
  async #runSession(): Promise<void> {
    const ended = this.#session?.ended.then(() => 'ended' as const);
    const what = await Promise.race([ended, this.#role.elected.then(() => 'elected' as const)]);
    if (what === 'elected') this.#state.on('elected', "opening the volume in the writer's place");
    else await this.#sessionEnds();
  }

  /**
   * Invariant: the reader is given up only for a volume that is ours; until then it goes on, and goes on for good when
   * another came first.
   */
  async #takeOver(metrics: AgentMetrics): Promise<void> {
    const session = this.#session;
    if (session === undefined) throw new Error('nobody was elected');
    const lost = new AbortController();
    void session.ended.then(() => lost.abort());
    const signal = AbortSignal.any([this.#stopping.signal, lost.signal]);
    const { heldEpoch } = await this.#role.takeTurn(signal);
    this.#openedAtMs = this.#clock.now();
    const opened = await this.#openAs(this.#role.writing, metrics, {
      heldEpoch,
      volumeExists: true,
      signal,
      onWaiting: (hindrance) => {
        if (hindrance !== undefined) this.#state.on('progress', `opening the volume in the writer's place: ${hindrance.message}`);
      },
    });
    if (this.#state.step !== 'takingOver') return;
    if (opened.kind === 'opened') {
      const standby = this.#role.handOver();
      if (standby === undefined) {
        await session.kill();
        this.#letGo();
        this.#role.becomeWriter();
        this.#state.on('opened');
        return;
      }
      this.#forget();
      this.#role.becomeWriter();
      this.#state.on('opened');
      // Nobody comes between: it is the new session that ends this PostgreSQL now.
      this.#isPromoting = true;
      try {
        await this.#startSession(metrics, standby);
      } finally {
        this.#isPromoting = false;
      }
    } else {
      this.#logger.info({ outcome: opened.kind }, 'the volume was not opened in the place of its writer; going on as a reader');
      this.#role.standDown();
      this.#state.on('stoodDown', 'running');
    }
  }

  /** Waits for it. */
  async #sessionEnds(): Promise<void> {
    const end = await this.#session?.ended;
    if (end === undefined) throw new Error('no session to wait for');
    this.#letGo();
    const livedMs = this.#clock.now() - this.#openedAtMs;
    if (end.kind === 'restarting') this.#pauseMs = this.#pace.afterSession(end.isForced === true ? 'ended' : 'restarting', livedMs);
    else this.#pauseMs = this.#pace.afterSession(this.#hasStarted ? 'ended' : 'not-started', livedMs);
    if (end.kind === 'fenced') this.#overtaken(end.message);
    else this.#state.on(eventOf(end), messageOf(end));
  }

  #step(step: OpeningStep): void {
    this.#role.failingOver?.step(step);
    const opening = openingProgress(step, this.#clock.wallTime());
    this.#report.stepBegan(opening);
    this.#state.on('progress', openingMessage(opening));
  }

  /** The session is over, and PostgreSQL is dead. */
  #letGo(): void {
    this.#forget();
    this.#door.take();
  }

  /** The session is over. */
  #forget(): void {
    this.#report.sessionEnded(this.#session);
    this.#session = undefined;
    this.#role.sessionEnded();
  }

  #overtaken(message: string): void {
    const told = { epoch: this.#epoch, reason: message };
    if (this.#role.election !== undefined) {
      this.#state.on('yielded', message);
      this.#logger.warn(told, 'another writer owns the volume; this one follows it');
    } else {
      this.#state.on('fenced', message);
      this.#logger.fatal(told, 'fenced: another writer owns the volume; this one stays down');
    }
  }
}
