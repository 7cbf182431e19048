/** Time and chance as the queue needs them; tests bring their own. */
export interface QueueClock {
  readonly setTimer: (run: () => void, delayMs: number) => { cancel: () => void };
  readonly now: () => number;
  readonly random: () => number;
}

export interface WorkQueueOptions {
  readonly clock: QueueClock;
  /** Never called for one key twice at a time. A rejection means: again later. */
  readonly work: (key: string) => Promise<void>;
  readonly onError: (key: string, error: unknown, retryInMs: number) => void;
  readonly concurrency: number;
  readonly retryMinMs?: number;
  readonly retryMaxMs?: number;
}

interface Delayed {
  readonly at: number;
  readonly timer: { cancel: () => void };
}

/**
 * Keys to work on. A key is queued once however often it is added; added while it is worked on, it comes again
 * afterwards. Failures retry after 0.5 s, 1 s, 2 s … up to a minute, with jitter, until one succeeds.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #failures = new Map<string, number>();
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait now (delayed ones not counted). */
  get depth(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#cancelDelay(key);
    if (this.#running.has(key)) this.#again.add(key);
    else {
      this.#waiting.add(key);
      this.#pump();
    }
  }

  /** Adds the key once the time has come; the earliest of several calls counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    const at = this.#options.clock.now() + delayMs;
    const planned = this.#delayed.get(key);
    if (planned !== undefined && planned.at <= at) return;
    planned?.timer.cancel();
    const timer = this.#options.clock.setTimer(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, delayMs);
    this.#delayed.set(key, { at, timer });
  }

  /** Forgets that a key failed, and its planned retry. For keys whose object is gone. */
  forget(key: string): void {
    this.#failures.delete(key);
    this.#cancelDelay(key);
  }

  /** Takes no more keys and resolves when nothing runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.clear();
    this.#again.clear();
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #cancelDelay(key: string): void {
    this.#delayed.get(key)?.timer.cancel();
    this.#delayed.delete(key);
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#workOn(key);
    }
  }

  async #workOn(key: string): Promise<void> {
    try {
      await this.#options.work(key);
      this.#failures.delete(key);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      const { retryMinMs = 500, retryMaxMs = 60_000, clock } = this.#options;
      const retryInMs = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures - 1, 20)) * (0.75 + clock.random() / 2);
      this.#options.onError(key, error, retryInMs);
      this.addAfter(key, retryInMs);
    } finally {
      this.#running.delete(key);
      if (this.#again.delete(key) && !this.#stopped) {
        // Added while it failed: the retry's delay still holds, or a failing key would spin.
        if (!this.#failures.has(key)) this.#waiting.add(key);
      }
      this.#pump();
      if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
