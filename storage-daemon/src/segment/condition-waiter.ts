import type { Clock } from '@kube-aurora/clock';
/**
 * Those who wait for a segment to get somewhere: their conditions are looked at whenever its log, applier or phase
 * moves.
 */

interface Waiter {
  readonly isMet: () => boolean;
  readonly resolve: () => void;
}

const WAIT_MAX_MS = 60_000;

export class ConditionWaiter {
  readonly #clock: Clock;
  #waiters: Waiter[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves true when the condition holds, false at the deadline (ms, the clock's `now`). */
  until(isMet: () => boolean, deadline: number): Promise<boolean> {
    if (isMet()) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter: Waiter = {
      isMet,
      resolve: () => {
        timer.cancel();
        resolve(true);
      },
    };
    const left = Math.max(0, Math.min(deadline - this.#clock.now(), WAIT_MAX_MS));
    const timer = this.#clock.after(left, () => {
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
      resolve(false);
    });
    this.#waiters.push(waiter);
    return promise;
  }

  /** Something moved. */
  recheck(): void {
    if (this.#waiters.length === 0) return;
    const met = this.#waiters.filter((waiter) => waiter.isMet());
    if (met.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
  }
}
