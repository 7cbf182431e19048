import type { Clock } from '@kube-aurora/clock';
import { AGENT_TABLE, type AgentEvent, type AgentStep } from './agent-table.ts';
import type { AgentSituation, FailureReason } from './agent-situation.ts';

/** A PostgreSQL that was lost or did not start; it stays in the status while the next ones are tried. */
export interface AgentFailure {
  readonly reason: FailureReason;
  readonly message: string;
  /** When, as an ISO 8601 text. */
  readonly at: string;
}

const FAILURES: Readonly<Record<FailureReason, true>> = {
  postgresFailed: true,
  settingsRefused: true,
  imageFailed: true,
  damagedWal: true,
};

function isFailure(event: AgentEvent): event is FailureReason {
  return Object.hasOwn(FAILURES, event);
}

/** Where the agent stands in agent-table.ts, and what of it the status tells: situation, since when, and why. */
export class AgentState {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #step: AgentStep = 'asking';
  #situation: AgentSituation = { phase: 'opening', reason: 'none' };
  #message = 'starting';
  #since: string;
  #lastFailure: AgentFailure | undefined;

  /** `onChange` is called when the agent does something else, or for another reason; a mere message is no change. */
  constructor(clock: Clock, onChange: () => void = () => undefined) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#since = this.#now();
  }

  get step(): AgentStep {
    return this.#step;
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

  /**
   * `event` happened; the table says what comes of it. The message is for people; an empty one leaves what is there.
   */
  on(event: AgentEvent, message = ''): void {
    const outcome = AGENT_TABLE[this.#step][event];
    if (outcome === 'nothing') return;
    if (outcome === 'throw') throw new Error(`an agent that is ${this.#step} was told '${event}'`);
    const { situation = this.#situation } = outcome;
    const wasFenced = this.#situation.reason === 'fenced';
    const isOther = situation.phase !== this.#situation.phase || situation.reason !== this.#situation.reason;
    if (isOther) this.#since = this.#now();
    const moves = isOther || outcome.to !== this.#step;
    this.#step = outcome.to;
    this.#situation = situation;
    // One that was fenced says so to the end.
    if (message !== '' && !wasFenced) this.#message = message;
    if (isFailure(event)) this.#lastFailure = { reason: event, message, at: this.#now() };
    if (moves) this.#onChange();
  }

  #now(): string {
    return new Date(this.#clock.wallTime()).toISOString();
  }
}
