/**
 * Which part of a core the work in the background takes: a fixed part of the time while little waits for it, however
 * much was loaded before, and more as more waits, so that it takes all before a writer has to be held back. After each
 * slice of work it rests for as long as that asks.
 */

/** Of the time, while little waits. */
const LEAST_SHARE = 0.25;
/** The same of work that can wait while a writer has much to write. */
const STEP_ASIDE_SHARE = 0.05;
/** Milliseconds of one rest: how much waits is looked at again after it. */
const REST_MAX_MS = 40;
const STEP_ASIDE_REST_MAX_MS = 250;

export class WorkPace {
  readonly #backlog: () => number;
  readonly #stepsAside: () => boolean;
  /** Milliseconds of work so far. */
  workedMs = 0;

  /**
   * `backlog`: what waits, 0 for what always may, 1 for so much that all there is must go into it. `stepsAside`: should
   * others go first, as long as no more waits than may?
   */
  constructor(backlog: () => number, stepsAside: () => boolean = () => false) {
    this.#backlog = backlog;
    this.#stepsAside = stepsAside;
  }

  /** Notes a slice of work of `ms` milliseconds. Gives how long to rest before the next. */
  restAfter(ms: number): number {
    this.workedMs += ms;
    const backlog = Math.min(1, Math.max(0, this.#backlog()));
    const isAside = backlog === 0 && this.#stepsAside();
    const least = isAside ? STEP_ASIDE_SHARE : LEAST_SHARE;
    const share = least + (1 - least) * backlog;
    return Math.min(isAside ? STEP_ASIDE_REST_MAX_MS : REST_MAX_MS, ms * (1 / share - 1));
  }
}
