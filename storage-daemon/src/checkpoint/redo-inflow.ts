/**
 * Does a writer have much to write just now? Aurora's storage nodes put their work in the background off while they
 * are busy with what is in the foreground (SIGMOD 2017, section 3.3), and so do these.
 */

/** Redo counts for less by half each so many milliseconds. */
const HALF_LIFE_MS = 250;
/** Of redo that counts: some 200 kB/s. A writer that nobody uses writes a few bytes now and then. */
const MUCH_BYTES = 64 * 1024;
/** More does not count: after any load it is over within half a second. */
const MOST_BYTES = 4 * MUCH_BYTES;

export class RedoInflow {
  readonly #now: () => number;
  #bytes = 0;
  #at = -Infinity;

  /** `now`: milliseconds of a clock that does not go back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** So much redo has come. */
  note(bytes: number): void {
    const now = this.#now();
    this.#bytes = Math.min(MOST_BYTES, this.#bytesAt(now) + bytes);
    this.#at = now;
  }

  get isMuch(): boolean {
    return this.#bytesAt(this.#now()) >= MUCH_BYTES;
  }

  #bytesAt(now: number): number {
    return this.#bytes * 0.5 ** ((now - this.#at) / HALF_LIFE_MS);
  }
}
