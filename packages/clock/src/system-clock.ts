import { sleepOn, type Clock, type Timer } from './clock.ts';

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;
  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout;
  }
  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

const after = (ms: number, work: () => void): Timer => new SystemTimer(setTimeout(work, ms));
const afterUnlessIdle = (ms: number, work: () => void): Timer => new SystemTimer(setTimeout(work, ms).unref());

const SYSTEM: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  random: Math.random,
  after,
  soon: (work) => void setImmediate(work),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  sleep: (ms, signal) => sleepOn(afterUnlessIdle, ms, signal),
};

/** Waits, and ends at once, without an error, when the signal says so. A process that does nothing else lives on, which it does not for `Clock.sleep`. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleepOn(after, ms, signal);
}

/** The machine's own clock and randomness. */
export function systemClock(): Clock {
  return SYSTEM;
}
