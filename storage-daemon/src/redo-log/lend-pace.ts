/**
 * Says whether a log may be lent (lent-log.ts), as far as its disk goes. Whoever takes it back waits, on the event loop, for the write and sync that is
 * under way there; nobody else does. So the disk may be slower than one whose syncs this thread waits for each time (sync-pace.ts): what is
 * ruled out is one that would stop the loop for longer than what a loaded machine does to it anyway.
 *
 * What counts is the quicker part of recent syncs, whoever made them: a machine that is short of cores makes the others look slow.
 */
const LENT_MS = 50;
const WINDOW = 16;
/** One sync this slow is enough: the disk hangs. */
const STALL_MS = 500;

export class LendPace {
  #isQuick = false;
  #window: number[] = [];

  /** Nothing is known of a disk before its first syncs. */
  get isQuick(): boolean {
    return this.#isQuick;
  }

  note(ms: number): void {
    this.#window.push(ms);
    if (ms < STALL_MS && this.#window.length < WINDOW) return;
    // Of all of them, in order of time, the last of the first quarter.
    const sorted = this.#window.toSorted((a, b) => a - b);
    this.#isQuick = ms < STALL_MS && (sorted[Math.floor(sorted.length / 4)] ?? Infinity) <= LENT_MS;
    this.#window = [];
  }
}
