/**
 * The lowest LSN that one compute may still read at. PGMRPL is the minimum of these over all computes of a volume, so
 * each announces its own and none speaks for another.
 *
 * Invariant: it never goes back. Reads that were under way when it was announced are at or above it, and so is every
 * later one, for a reader asks at `announced` at least.
 */
export class ReadFloor {
  readonly #oldestRead: () => bigint | undefined;
  #announced = 0n;

  /** @param oldestRead LSN of the oldest read under way, undefined when there is none */
  constructor(oldestRead: () => bigint | undefined) {
    this.#oldestRead = oldestRead;
  }

  get announced(): bigint {
    return this.#announced;
  }

  /**
   * The floor as it may be told to storage now, with everything up to `vdl` durable. What is returned counts as told.
   */
  announce(vdl: bigint): bigint {
    const oldest = this.#oldestRead();
    const floor = oldest !== undefined && oldest < vdl ? oldest : vdl;
    if (floor > this.#announced) this.#announced = floor;
    return this.#announced;
  }
}
