import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { connectSuperuser, letGo, type LocalSocket } from '../postgres/local-client.ts';
import { quietSession } from '../postgres/quiet-session.ts';
import { isRefusal, type Look, type LookOutcome } from './look.ts';

/** Shown in pg_stat_activity. */
const APPLICATION_NAME = 'kube-aurora insights';
/** No look takes more than milliseconds on a PostgreSQL that is well; on one that is not, they are what can wait. */
const STATEMENT_MS = 2000;
/** A reply may be held up on its way, with the lease. */
const ANSWER_MS = 3000;
const TICK_MS = 1000;
const RETRY_MS = 5000;

/** Statistics are read as they are, without a copy that lasts for a transaction. */
const SETTINGS = quietSession(STATEMENT_MS, ['idle_in_transaction_session_timeout=10s', 'stats_fetch_consistency=none']);

export interface SamplerOptions {
  readonly looks: readonly Look[];
  /** PostgreSQL takes connections, as far as the agent knows. */
  readonly isServing: () => boolean;
  readonly socket: LocalSocket;
  readonly connect?: typeof connectSuperuser;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How looking goes, of one look. */
export interface LookView {
  readonly name: string;
  readonly outcome: LookOutcome;
  readonly failures: number;
  /** All that it has taken by now, in seconds. */
  readonly seconds: number;
}

interface Course {
  readonly look: Look;
  dueMs: number;
  outcome: LookOutcome;
  failures: number;
  seconds: number;
}

/**
 * Looks at PostgreSQL for as long as the agent lives, by one connection that it makes anew whenever it was lost: over restarts, and over the
 * promotion of a reader, whose sessions go on.
 *
 * Invariants:
 * - each look is one statement, in a transaction of its own: nothing of it holds back vacuum once it was answered;
 * - nobody waits for it. What fails here shows in the metrics and the status, and is tried again; it never rejects;
 * - it asks nothing of a PostgreSQL that does not serve, and what it heard of one before is forgotten then.
 */
export class Sampler {
  readonly #options: SamplerOptions;
  readonly #connect: typeof connectSuperuser;
  readonly #courses: readonly Course[];
  readonly #stopping = new AbortController();
  #client: Client | undefined;
  #retryMs = 0;
  #said = '';

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#connect = options.connect ?? connectSuperuser;
    this.#courses = options.looks.map((look) => ({ look, dueMs: 0, outcome: { kind: 'pending' }, failures: 0, seconds: 0 }));
  }

  get views(): readonly LookView[] {
    return this.#courses.map(({ look, outcome, failures, seconds }) => ({ name: look.name, outcome, failures, seconds }));
  }

  /** Resolves once it was stopped. */
  async run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const beganMs = clock.now();
      await this.#tick(beganMs);
      await clock.sleep(Math.max(0, beganMs + TICK_MS - clock.now()), signal);
    }
    this.#letGo();
  }

  stop(): void {
    this.#stopping.abort();
    this.#letGo();
  }

  async #tick(now: number): Promise<void> {
    const { isServing, socket } = this.#options;
    if (!isServing()) {
      this.#forget();
      return;
    }
    if (this.#client === undefined) {
      if (now < this.#retryMs) return;
      try {
        const client = await this.#connect(socket, { applicationName: APPLICATION_NAME, settings: SETTINGS, answerWithinMs: ANSWER_MS });
        client.once('end', () => {
          if (this.#client === client) this.#client = undefined;
        });
        this.#client = client;
        if (this.#stopping.signal.aborted) this.#letGo();
      } catch (error) {
        this.#unanswered(this.#courses, error);
        return;
      }
    }
    for (const course of this.#courses.filter(({ dueMs }) => dueMs <= now)) {
      if (this.#client === undefined) return;
      await this.#take(course, this.#client);
    }
  }

  async #take(course: Course, client: Client): Promise<void> {
    const { clock, logger } = this.#options;
    const { look } = course;
    const beganMs = clock.now();
    course.dueMs = beganMs + look.everyMs;
    try {
      await look.take(client);
      course.outcome = { kind: 'taken' };
      this.#said = '';
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      if (!isRefusal(error)) {
        this.#unanswered([course], error);
        return;
      }
      const message = textOf(error);
      if (course.outcome.kind !== 'refused' || course.outcome.message !== message)
        logger.warn({ look: look.name, reason: message }, 'PostgreSQL refused to tell how it is; asking again');
      course.failures++;
      course.outcome = { kind: 'refused', message };
    } finally {
      course.seconds += (clock.now() - beganMs) / 1000;
    }
  }

  /** The connection is of no use any more, or there is none. */
  #unanswered(courses: readonly Course[], error: unknown): void {
    const { clock, logger, isServing } = this.#options;
    if (this.#stopping.signal.aborted) return;
    this.#forget();
    this.#retryMs = clock.now() + RETRY_MS;
    // It was ended with its PostgreSQL.
    if (!isServing()) return;
    const message = textOf(error);
    for (const course of courses) {
      course.failures++;
      course.outcome = { kind: 'unanswered', message };
    }
    if (message !== this.#said) logger.warn({ reason: message }, 'PostgreSQL could not be asked how it is; trying again');
    this.#said = message;
  }

  #forget(): void {
    this.#letGo();
    for (const course of this.#courses) {
      if (course.outcome.kind === 'taken') course.outcome = { kind: 'pending' };
      course.dueMs = 0;
      course.look.forget();
    }
  }

  /** Closes at once, also while a query is under way: nobody waits for its answer. */
  #letGo(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) letGo(client);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
