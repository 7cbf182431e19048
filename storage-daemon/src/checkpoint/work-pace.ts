/**
 * Which part of a core the work in the background takes: a fixed part of the time while little waits for it, however
 * much was loaded before, and more as more waits, so that it takes all before a writer has to be held back. After each
 * slice of work it rests for as long as that asks.
 */

/** Of the time, while little waits. */
const LEAST_SHARE = 0.25;
/** Milliseconds of one rest: how much waits is looked at again after it. */
const REST_MAX_MS = 40;

export class WorkPace {
  readonly #backlog: () => number;
  /** Milliseconds of work so far. */
  workedMs = 0;

  /** `backlog`: what waits, 0 for what always may, 1 for so much that all there is must go into it. */
  constructor(backlog: () => number) {
    this.#backlog = backlog;
  }

  /** Notes a slice of work of `ms` milliseconds. Gives how long to rest before the next. */
  restAfter(ms: number): number {
    this.workedMs += ms;
    const share = LEAST_SHARE + (1 - LEAST_SHARE) * Math.min(1, Math.max(0, this.#backlog()));
    return Math.min(REST_MAX_MS, ms * (1 / share - 1));
  }
}
