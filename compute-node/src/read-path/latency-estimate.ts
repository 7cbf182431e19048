/** How long one kind of call takes, from its recent past: a moving mean and 99th percentile, in constant space. */
export class LatencyEstimate {
  #meanMs = 1;
  #p99Ms = 10;

  get meanMs(): number {
    return this.#meanMs;
  }
  get p99Ms(): number {
    return this.#p99Ms;
  }

  observe(elapsedMs: number): void {
    this.#meanMs += (elapsedMs - this.#meanMs) * 0.1;
    // Stochastic quantile: up by 99 parts for each value above, down by one for each below; it rests at the 99th percentile.
    const step = Math.max(this.#p99Ms, 1) * 0.003;
    this.#p99Ms = Math.max(0.1, this.#p99Ms + (elapsedMs > this.#p99Ms ? 99 * step : -step));
  }

  /** A failure counts as a slow answer, so that another is asked first for a while. */
  penalise(): void {
    this.#meanMs = Math.min(this.#meanMs * 2 + 5, 5000);
  }
}
