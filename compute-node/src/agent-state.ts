import type { Clock } from '@kube-aurora/clock';
import { EXIT } from '@kube-aurora/process';

/** Why PostgreSQL is not up, after it was lost or did not start. */
export type FailureReason =
  /** PostgreSQL did not start, or ended by itself. */
  | 'postgresFailed'
  /** PostgreSQL refuses its settings: the same settings fail again. */
  | 'settingsRefused'
  /** The local WAL is not what PostgreSQL said it wrote; the volume is not touched by it. */
  | 'damagedWal';

/**
 * What the agent does, and the reason that programs decide by. Beside it stands a message, which is for people alone.
 *
 * | phase         | reason            |                                                                                 |
 * | ------------- | ----------------- | ------------------------------------------------------------------------------- |
 * | bootstrapping | none              | makes a volume's first database                                                 |
 * | bootstrapping | initdbRefused     | cannot make it as it is wanted; tries again                                     |
 * | opening       | none              | has just begun                                                                  |
 * | opening       | waitingForStorage | asks storage for the volume                                                     |
 * | opening       | startingPostgres  | the volume is open, PostgreSQL is on its way                                    |
 * | opening       | a FailureReason   | the last try failed, the next one is waited for                                 |
 * | running       | none              | PostgreSQL takes connections                                                    |
 * | running       | noQuorum          | as before, but what waits for storage has waited for seconds                    |
 * | fenced        | fenced            | another writer owns the volume; stays like this until whoever runs us acts      |
 * | stopping      | stopping          | ends in order                                                                   |
 * | stopping      | noQuorum          | ends without a shutdown checkpoint, which storage did not take in time          |
 * | stopping      | fenced            | ends, having been fenced                                                        |
 */
export type AgentSituation =
  | { readonly phase: 'bootstrapping'; readonly reason: 'none' | 'initdbRefused' }
  | { readonly phase: 'opening'; readonly reason: 'none' | 'waitingForStorage' | 'startingPostgres' | FailureReason }
  | { readonly phase: 'running'; readonly reason: 'none' | 'noQuorum' }
  | { readonly phase: 'fenced'; readonly reason: 'fenced' }
  | { readonly phase: 'stopping'; readonly reason: 'stopping' | 'noQuorum' | 'fenced' };

export type AgentPhase = AgentSituation['phase'];

/** A PostgreSQL that was lost or did not start; it stays in the status while the next ones are tried. */
export interface AgentFailure {
  readonly reason: FailureReason;
  readonly message: string;
  /** When, as an ISO 8601 text. */
  readonly at: string;
}

/** What the process's exit says of how it ended. */
export function exitCodeOf(situation: AgentSituation): number {
  if (situation.reason === 'fenced') return EXIT.fenced;
  return situation.phase === 'stopping' && situation.reason === 'noQuorum' ? EXIT.noQuorum : EXIT.ok;
}

/** Holds the agent's situation and since when it is so. */
export class AgentState {
  readonly #clock: Clock;
  #situation: AgentSituation = { phase: 'opening', reason: 'none' };
  #message = 'starting';
  #since: string;
  #lastFailure: AgentFailure | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = this.#now();
  }

  get situation(): AgentSituation {
    return this.#situation;
  }
  get message(): string {
    return this.#message;
  }
  /** Since when phase and reason are what they are, as an ISO 8601 text; another message alone does not count. */
  get since(): string {
    return this.#since;
  }
  get lastFailure(): AgentFailure | undefined {
    return this.#lastFailure;
  }

  /** Fenced and stopping are final: after either comes only a stop, and one that was fenced still says so. */
  enter(next: AgentSituation, message: string): void {
    const fenced = this.#situation.reason === 'fenced';
    if ((fenced || this.#situation.phase === 'stopping') && next.phase !== 'stopping') return;
    const situation: AgentSituation = fenced ? { phase: 'stopping', reason: 'fenced' } : next;
    if (situation.phase !== this.#situation.phase || situation.reason !== this.#situation.reason) this.#since = this.#now();
    this.#situation = situation;
    if (!fenced) this.#message = message;
  }

  failed(reason: FailureReason, message: string): void {
    this.#lastFailure = { reason, message, at: this.#now() };
    this.enter({ phase: 'opening', reason }, message);
  }

  #now(): string {
    return new Date(this.#clock.wallTime()).toISOString();
  }
}
