import { Backoff } from '@kube-aurora/clock';

/** A PostgreSQL that lived this long was healthy; shorter lives count towards backing off. */
const HEALTHY_MS = 10_000;
const RAPID_FAILURES_FREE = 3;
const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** Longest pause before another start of a PostgreSQL that never came to take a connection. */
const START_BACKOFF_MAX_MS = 60_000;

/** How an epoch of ours ended that is to be followed by another one. */
export type SessionOutcome =
  /** In order, to start again with other settings. */
  | 'restarting'
  /** PostgreSQL never took a connection. */
  | 'not-started'
  /** PostgreSQL was lost, or a reader's storage had no longer what it needed. */
  | 'ended';

/** How long the agent waits before it opens the volume again. Each start takes an epoch, and an epoch is for ever. */
export class RestartPace {
  readonly #backoff: Backoff;
  /** A start that cannot succeed is tried ever more seldom. */
  readonly #startBackoff: Backoff;
  #rapidFailures = 0;

  /** @param random gives numbers in [0, 1) */
  constructor(random: () => number) {
    this.#backoff = new Backoff(BACKOFF_MIN_MS, BACKOFF_MAX_MS, random);
    this.#startBackoff = new Backoff(BACKOFF_MIN_MS, START_BACKOFF_MAX_MS, random);
  }

  /** Milliseconds to wait after an epoch that took `tookMs` from its opening to its end; 0 for not at all. */
  afterSession(outcome: SessionOutcome, tookMs: number): number {
    if (outcome === 'restarting') return 0;
    if (tookMs > HEALTHY_MS) {
      this.#rapidFailures = 0;
      this.#backoff.reset();
    }
    if (outcome === 'ended') this.#startBackoff.reset();
    if (++this.#rapidFailures < RAPID_FAILURES_FREE) return 0;
    return (outcome === 'ended' ? this.#backoff : this.#startBackoff).next();
  }

  /** Milliseconds to wait after storage did not take a new volume. */
  afterBootstrap(): number {
    return this.#backoff.next();
  }
}
