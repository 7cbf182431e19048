/**
 * Time, turns of the event loop, and chance, as a program takes them from outside. Only main.ts makes the machine's own
 * (systemClock); a simulation hands every part one that a seed drives, so that the code that ships is the code that is
 * tried.
 */
export interface Clock {
  /** Milliseconds, monotonic; from an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970, for what people read and for PostgreSQL's timestamps. No decision rests on it. */
  wallTime(): number;
  /** In [0, 1). */
  random(): number;
  /** Runs `work` once, after so many milliseconds. */
  after(ms: number, work: () => void): Timer;
  /** Runs `work` once what has arrived by now was let in (setImmediate). */
  soon(work: () => void): void;
  /** Lets everything else have its turn of the event loop. */
  turn(): Promise<void>;
  /** Resolves after so many milliseconds, or at once when `signal` aborts. Never keeps the process alive by itself. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Something that will happen unless it is cancelled; cancelling twice or late does nothing. */
export interface Timer {
  cancel(): void;
}

/** `Clock.sleep` in terms of `after`: what both implementations do. */
export function sleepOn(after: (ms: number, work: () => void) => Timer, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
