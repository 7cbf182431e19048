/** Exponential backoff with full jitter, so that six daemons that come back are not all called in the same moment. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #ceilingMs: number;

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#ceilingMs = minMs;
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const delay = this.#minMs / 2 + this.#random() * (this.#ceilingMs - this.#minMs / 2);
    this.#ceilingMs = Math.min(this.#ceilingMs * 2, this.#maxMs);
    return delay;
  }

  reset(): void {
    this.#ceilingMs = this.#minMs;
  }
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
