import { LatencyEstimate } from './latency-estimate.ts';

/** Pages that take a segment twice as long as one page does. */
const PAGES_PER_WEIGHT = 32;
/** What another zone costs, in money and time: segments of our own are passed over when they are this much slower. */
const OTHER_ZONE_FACTOR = 2;
const OTHER_ZONE_MS = 1;

/** How much of a segment a read takes, with one page as 1. */
export const readWeight = (pages: number): number => 1 + (pages - 1) / PAGES_PER_WEIGHT;

/** What a mean says before anything was measured, and comes back to when nothing is. */
const MEAN_START_MS = 1;
const MEAN_SHARE = 0.1;
/** A mean that nobody has added to is forgotten by half in so long: what was slow once is tried again. */
const FORGET_HALF_MS = 10_000;

interface Load {
  meanMs: number;
  observedAtMs: number;
  /** Weight of the reads under way. */
  underWay: number;
  readonly penalties: LatencyEstimate;
}

/** How busy the segments are with our reads, and how quick. */
export class SegmentLoads {
  readonly #loads: readonly Load[];
  readonly #overall = new LatencyEstimate();

  constructor(segments: number) {
    this.#loads = Array.from({ length: segments }, () => ({
      meanMs: MEAN_START_MS,
      observedAtMs: 0,
      underWay: 0,
      penalties: new LatencyEstimate(),
    }));
  }

  began(segment: number, weight: number): void {
    this.#of(segment).underWay += weight;
  }

  ended(segment: number, weight: number): void {
    this.#of(segment).underWay -= weight;
  }

  observe(segment: number, weight: number, elapsedMs: number, nowMs: number): void {
    const load = this.#of(segment);
    const meanMs = meanNow(load, nowMs);
    load.meanMs = meanMs + (elapsedMs / weight - meanMs) * MEAN_SHARE;
    load.observedAtMs = nowMs;
    this.#overall.observe(elapsedMs / weight);
  }

  penalise(segment: number, nowMs: number): void {
    this.#of(segment).penalties.penalise(nowMs);
  }

  /** Nearly all reads of this weight are answered within so many milliseconds. */
  nearlyAllWithinMs(weight: number): number {
    return this.#overall.p99Ms * weight;
  }

  /**
   * Milliseconds that a read is expected to take on a segment, for comparison: its queue before it, and what its zone
   * costs.
   */
  expectedMs(segment: number, sameZone: boolean, nowMs: number): number {
    const load = this.#of(segment);
    const queue = meanNow(load, nowMs) * (1 + load.underWay) + load.penalties.penaltyMs(nowMs);
    return sameZone ? queue : queue * OTHER_ZONE_FACTOR + OTHER_ZONE_MS;
  }

  #of(segment: number): Load {
    const load = this.#loads[segment];
    if (load === undefined) throw new RangeError(`there are ${this.#loads.length} segments, and no segment ${segment}`);
    return load;
  }
}

function meanNow({ meanMs, observedAtMs }: Load, nowMs: number): number {
  return MEAN_START_MS + (meanMs - MEAN_START_MS) * 2 ** ((observedAtMs - nowMs) / FORGET_HALF_MS);
}
