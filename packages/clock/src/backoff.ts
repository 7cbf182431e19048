/** Exponential backoff with full jitter, so that six daemons that come back are not all called in the same moment. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #ceilingMs: number;

  constructor(minMs: number, maxMs: number, random: () => number) {
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
