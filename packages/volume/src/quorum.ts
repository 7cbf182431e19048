/**
 * Six copies in three zones: a write counts on four, a read of the past needs three (any three share a segment with
 * any four). So one zone and one more segment may be lost without losing data, and one whole zone without stopping
 * writes.
 */
export const COPIES = 6;
export const WRITE_QUORUM = 4;
export const READ_QUORUM = 3;

/**
 * The `quorum`-th highest of the values: the point that at least `quorum` of them have reached. 0n with fewer values.
 */
export function quorumPoint(values: readonly bigint[], quorum: number): bigint {
  if (values.length < quorum) return 0n;
  const sorted = [...values].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
  return sorted[quorum - 1] ?? 0n;
}

/**
 * PGCL of one protection group: the 4th highest SCL. Kept by the writer from acknowledgements; `acknowledge` is on the
 * path of every commit and allocates nothing.
 *
 * Invariant: only an SCL that a segment reported together with the writer's own epoch, and after it took the writer's
 * epoch history, may be given here (`countsForWriter` in open-protocol.ts). Otherwise a segment that has already
 * promised a later opener, or that holds annulled redo, could complete a quorum, and an acknowledged commit would be
 * lost.
 */
export class QuorumTracker {
  readonly #scl: bigint[];
  readonly #quorum: number;
  #point: bigint;

  /** Starts with `floor` known to be on a quorum: PGCL at open. */
  constructor(floor: bigint, copies = COPIES, quorum = WRITE_QUORUM) {
    this.#scl = Array.from({ length: copies }, () => 0n);
    this.#quorum = quorum;
    this.#point = floor;
  }

  /** PGCL; never goes back. */
  get point(): bigint {
    return this.#point;
  }

  /** Highest SCL that segment has acknowledged, 0n for none. */
  scl(segment: number): bigint {
    return this.#scl[segment] ?? 0n;
  }

  /**
   * Takes one segment's SCL; true when PGCL advanced. Older values are ignored: acknowledgements may overtake each
   * other.
   */
  acknowledge(segment: number, scl: bigint): boolean {
    const known = this.#scl[segment];
    if (known === undefined) throw new RangeError(`segment ${segment} is not one of ${this.#scl.length}`);
    if (scl <= known) return false;
    this.#scl[segment] = scl;
    if (scl <= this.#point) return false;
    // The k-th highest among those past the point, found by selection: six values, no sorting, no allocation.
    let best = this.#point;
    for (const candidate of this.#scl) {
      if (candidate <= best) continue;
      let reached = 0;
      for (const other of this.#scl) if (other >= candidate) reached++;
      if (reached >= this.#quorum) best = candidate;
    }
    if (best === this.#point) return false;
    this.#point = best;
    return true;
  }
}
