import type { Clock } from '@kube-aurora/clock';
import type { OpeningStep } from '../open/opening-steps.ts';
import type { Database, DatabaseEvents, StartFailure } from './database.ts';
import type { SessionEnd } from './session.ts';
import type { CommonEventKind, SessionEndKind, SessionState, SessionTable } from './session-outcome.ts';

/** Something that has happened. `Own`: the kinds that this session has beside the common ones. */
export interface SessionEvent<Own extends string = never> {
  readonly kind: CommonEventKind | Own;
  readonly message?: string;
  readonly reason?: StartFailure;
}

export interface SessionMachineOptions<Own extends string> {
  /** Whose it is, in errors. */
  readonly name: string;
  readonly table: SessionTable<Own>;
  readonly database: Pick<Database, 'answers' | 'shutDown' | 'kill'>;
  /** An order to end that takes longer than this becomes the event `late`. */
  readonly shutDownWithinMs: number;
  /** Told as each step of the opening begins, and of none once it is over. */
  readonly onStep: (step: OpeningStep) => void;
  /** PostgreSQL wants to be followed by another: notes why. */
  readonly noteRestart: (why: string) => void;
  /** What a start that failed with this error comes to. */
  readonly failure: (error: unknown) => SessionEvent<Own>;
  /** Stops all that PostgreSQL is served from: whoever waits for it hears that it is over. */
  readonly refuse: (end: SessionEnd) => void;
  /** Lets go of what must be kept for as long as anything of PostgreSQL runs. Undefined: nobody waits for that. */
  readonly release: (end: SessionEnd) => Promise<void> | undefined;
  readonly clock: Clock;
}

/**
 * What every session is driven by: its table says what each event does, and this does it.
 *
 * Order that safety rests on: from a session's end on PostgreSQL is refused all that it asks, then it is killed, and only
 * when it is dead what others wait for is let go of, and the end is told.
 */
export class SessionMachine<Own extends string> {
  /** Settles once, when the session is over; PostgreSQL is dead by then, or another's. */
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionMachineOptions<Own>;
  readonly #tell: (end: SessionEnd) => void;
  readonly #cancel = new AbortController();
  #state: SessionState = 'opening';
  #ending: Promise<void> | undefined;
  #shuttingDown: Promise<void> | undefined;
  #restartWhy = '';
  #asking: Promise<boolean> | undefined;

  constructor(options: SessionMachineOptions<Own>) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.ended = promise;
    this.#tell = resolve;
  }

  get state(): SessionState {
    return this.#state;
  }
  is(state: SessionState): boolean {
    return this.#state === state;
  }
  get ready(): boolean {
    return this.is('running');
  }
  get isComingUp(): boolean {
    return this.is('opening') || this.is('starting');
  }
  /** Aborted when the session ends. */
  get signal(): AbortSignal {
    return this.#cancel.signal;
  }

  /** Does PostgreSQL take connections? Asks it, for a bounded time; whoever asks meanwhile shares the answer. */
  answers(): Promise<boolean> {
    if (!this.ready) return Promise.resolve(false);
    this.#asking ??= this.#options.database.answers().then((answers) => {
      this.#asking = undefined;
      return answers && this.ready;
    });
    return this.#asking;
  }

  /** Brings PostgreSQL up by `work`. Never rejects: failures end the session. */
  async start(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.report(this.#options.failure(error));
    }
    // Whoever waits for a start that failed finds the session over.
    await this.#ending;
  }

  /** Fast shutdown: PostgreSQL ends in order, then everything closes. */
  async stop(): Promise<void> {
    this.report({ kind: 'stop' });
    await this.#shuttingDown;
    await this.#ending;
  }

  /** Ends PostgreSQL at once, whatever waits. */
  async kill(): Promise<void> {
    this.report({ kind: 'kill' });
    await this.#ending;
  }

  /** A step of the opening begins. */
  step(step: OpeningStep): void {
    if (this.isComingUp) this.#options.onStep(step);
  }

  /** PostgreSQL ends in order, to be followed by another. */
  restart(why: string): void {
    this.#options.noteRestart(why);
    this.report({ kind: 'restart', message: why });
  }

  /** What PostgreSQL tells its session. */
  databaseEvents(onStep: (step: OpeningStep) => void): DatabaseEvents {
    return {
      onStep,
      onExited: (reason, message) => this.report({ kind: 'exited', reason, message }),
      onHung: (message) => this.report({ kind: 'hung', message }),
      onRestartWanted: (why) => this.restart(why),
    };
  }

  /** What has happened. The table decides what comes of it. */
  report(event: SessionEvent<Own>): void {
    const outcome = this.#options.table[this.#state][event.kind];
    switch (outcome.does) {
      case 'nothing':
        return;
      case 'throw':
        throw new Error(`${this.#options.name} that is ${this.#state} was told '${event.kind}'`);
      case 'goOn':
        this.#state = outcome.to;
        return;
      case 'shutDown':
        this.#state = outcome.to;
        this.#restartWhy = event.message ?? '';
        this.#shuttingDown = this.#shutDown();
        return;
      case 'end':
        this.#state = 'ended';
        this.#ending = this.#tearDown(this.#endOf(outcome.as, event));
        return;
      case 'handOver':
        this.#state = 'ended';
        this.#cancel.abort();
        this.#tell({ kind: 'handedOver' });
        return;
    }
  }

  #endOf(kind: SessionEndKind, { kind: event, message = '', reason = 'postgresFailed' }: SessionEvent<Own>): SessionEnd {
    switch (kind) {
      case 'fenced':
      case 'damaged':
        return { kind, message };
      case 'failed':
        return { kind, reason, message };
      case 'restarting':
        if (this.#restartWhy !== '') return { kind, why: this.#restartWhy };
        return event === 'restart' ? { kind, why: message } : { kind, why: message, isForced: true };
      case 'stopped':
        return { kind };
    }
  }

  async #shutDown(): Promise<void> {
    const { database, clock, shutDownWithinMs } = this.#options;
    const late = clock.after(shutDownWithinMs, () => this.report({ kind: 'late' }));
    try {
      await database.shutDown();
    } finally {
      late.cancel();
    }
    this.report({ kind: 'shutDown' });
  }

  /** See the class's comment: PostgreSQL is refused all first, and the end is told last. */
  async #tearDown(end: SessionEnd): Promise<void> {
    const { database, refuse, release } = this.#options;
    this.#cancel.abort();
    refuse(end);
    await database.kill();
    // Not before: it says that nobody of this session can answer anything any more.
    await release(end);
    this.#tell(end);
  }
}
