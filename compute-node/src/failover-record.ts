import type { Clock } from '@kube-aurora/clock';
import type { OpenTurn } from './election/candidacy.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import type { DrainedTransactions, DrainOutcome } from './switchover/drain-outcome.ts';

/** Why the writer's place was taken: nobody heard it, its PostgreSQL died, or somebody wanted another one. */
export const TAKEOVER_REASONS = ['silent', 'postgresDied', 'switchover'] as const;
export type TakeoverReason = (typeof TAKEOVER_REASONS)[number];

/** How long each part of a failover took, in the order of the parts, in milliseconds. Undefined: not yet over. */
export interface FailoverPhases {
  /** From the last that storage had heard of the writer to the decision to take its place. */
  readonly detectedMs: number;
  /** Until the writer's transactions had ended, or the time for that was up. Of a switchover. */
  readonly drainedMs?: number;
  /** Until the volume was ours, and the old writer could not write to it any more. */
  readonly openedMs?: number;
  /** Until there was a PostgreSQL with everything that is in the volume, and the epoch's first batch was durable. */
  readonly fedMs?: number;
  /** Until that PostgreSQL took writes. */
  readonly promotedMs?: number;
  /** Until no earlier writer could answer anybody any more, and ours answered. */
  readonly readyMs?: number;
}

export type FailoverPhase = 'detected' | 'drained' | 'opened' | 'fed' | 'promoted' | 'ready';

/** The last time that this process took another compute's place. */
export interface FailoverStatus {
  readonly reason: TakeoverReason;
  readonly fromInstance: string;
  /** For how long storage had not heard the writer when it was decided. */
  readonly goneForMs: number;
  /** The reader's PostgreSQL became the writer's; otherwise a new one was started. */
  readonly inPlace: boolean;
  /** Of a switchover: what became of the transactions that were under way; undefined when that is not known. */
  readonly transactions?: DrainedTransactions;
  readonly phases: FailoverPhases;
  /** When it was decided, as an ISO 8601 text. */
  readonly at: string;
}

/** Times one failover, from the decision to an answer. */
export class FailoverRecord {
  readonly reason: TakeoverReason;
  readonly #turn: OpenTurn;
  readonly #from: string;
  readonly #clock: Clock;
  readonly #at: string;
  #since: number;
  #isInPlace = false;
  #transactions: DrainedTransactions | undefined;
  readonly #phases: { -readonly [Name in keyof FailoverPhases]: FailoverPhases[Name] };

  private constructor(turn: OpenTurn, reason: TakeoverReason, from: string, clock: Clock) {
    this.#turn = turn;
    this.reason = reason;
    this.#from = from;
    this.#clock = clock;
    this.#at = new Date(clock.wallTime()).toISOString();
    this.#since = clock.now();
    this.#phases = { detectedMs: Math.round(turn.goneForMs) };
  }

  /** Undefined when nobody else's place is taken. */
  static of(turn: OpenTurn, instance: string, clock: Clock): FailoverRecord | undefined {
    const { why, from } = turn;
    if (why === 'first' || why === 'own' || from === undefined || from.instance === instance) return undefined;
    return new FailoverRecord(turn, why, from.instance, clock);
  }

  get status(): FailoverStatus {
    return {
      reason: this.reason,
      fromInstance: this.#from,
      goneForMs: Math.round(this.#turn.goneForMs),
      inPlace: this.#isInPlace,
      ...(this.#transactions === undefined ? {} : { transactions: this.#transactions }),
      phases: { ...this.#phases },
      at: this.#at,
    };
  }

  /** The old writer's transactions had their time. Undefined: it was not asked, or did not answer. */
  drained(outcome: DrainOutcome | undefined): void {
    this.#transactions = outcome?.transactions;
    this.#note('drainedMs');
  }

  /** The volume is ours. */
  opened(): void {
    this.#note('openedMs');
  }

  /** A step of the session begins, which ends the parts before it. */
  step(step: OpeningStep): void {
    if (step === 'postgres') this.#note('fedMs');
    if (step === 'roles') this.#note('promotedMs');
  }

  /** It answers. Gives what each part took, in seconds. */
  ready(isInPlace: boolean): readonly (readonly [FailoverPhase, number])[] {
    this.#isInPlace = isInPlace;
    this.#note('readyMs');
    const { detectedMs, drainedMs, openedMs = 0, fedMs = 0, promotedMs = 0, readyMs = 0 } = this.#phases;
    const drained = drainedMs === undefined ? [] : [['drained', drainedMs] as const];
    const parts: readonly (readonly [FailoverPhase, number])[] = [
      ['detected', detectedMs],
      ...drained,
      ['opened', openedMs],
      ['fed', fedMs],
      ['promoted', promotedMs],
      ['ready', readyMs],
    ];
    return parts.map(([phase, ms]) => [phase, ms / 1000]);
  }

  /** A part that is gone through again, after a failure, counts with the times before. */
  #note(part: Exclude<keyof FailoverPhases, 'detectedMs'>): void {
    const now = this.#clock.now();
    this.#phases[part] = Math.round((this.#phases[part] ?? 0) + now - this.#since);
    this.#since = now;
  }
}
