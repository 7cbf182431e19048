const PENALTY_MAX_MS = 5000;

/** How long one kind of call takes, from its recent past: a moving mean and 99th percentile, in constant space. */
export class LatencyEstimate {
  #meanMs = 1;
  #p99Ms = 10;
  #penaltyMs = 0;
  #penaltyAtMs = 0;

  get meanMs(): number {
    return this.#meanMs;
  }
  get p99Ms(): number {
    return this.#p99Ms;
  }

  observe(elapsedMs: number): void {
    this.#meanMs += (elapsedMs - this.#meanMs) * 0.1;
    // Stochastic quantile: up by 99 parts for each value above, down by one for each below; it rests at the 99th
    // percentile.
    const step = Math.max(this.#p99Ms, 1) * 0.003;
    this.#p99Ms = Math.max(0.1, this.#p99Ms + (elapsedMs > this.#p99Ms ? 99 * step : -step));
  }

  /** A failure, or an answer that others overtook, counts as slowness that is forgiven by half every second. */
  penalise(nowMs: number): void {
    this.#penaltyMs = Math.min(this.penaltyMs(nowMs) * 2 + 100, PENALTY_MAX_MS);
    this.#penaltyAtMs = nowMs;
  }

  /** Milliseconds to add to the mean when segments are compared. */
  penaltyMs(nowMs: number): number {
    return this.#penaltyMs * 2 ** ((this.#penaltyAtMs - nowMs) / 1000);
  }
}
