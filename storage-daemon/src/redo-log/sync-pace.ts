/**
 * Says where to wait for the disk. A sync that takes a fraction of a millisecond costs less on the caller's thread than
 * two hops through the thread pool; one that takes longer must not stop the event loop.
 *
 * What counts is the quicker part of recent syncs: a machine that is short of CPU makes some look slow, a slow disk
 * all. Bound: a disk that turns slow stops the loop for one window of syncs, then goes through the pool until it is
 * quick again.
 */
const QUICK_MS = 0.7;
const WINDOW = 16;
/** Of a window's syncs, in order of time, the one that is looked at. */
const QUARTILE = WINDOW / 4;
/** One sync this slow is enough. */
const STALL_MS = 50;
/** More than this in one sync is the disk's work, not overhead. */
const BYTES_MAX = 64 * 1024;

export class SyncPace {
  /** Unproven disks count as slow. */
  #isQuick = false;
  #window: number[] = [];

  /** May `bytes` be synced on the caller's thread? */
  isQuick(bytes: number): boolean {
    return this.#isQuick && bytes <= BYTES_MAX;
  }

  /** A sync took so long. */
  note(ms: number): void {
    this.#window.push(ms);
    if (ms >= STALL_MS) this.#isQuick = false;
    if (this.#window.length < WINDOW) return;
    const slowest = Math.max(...this.#window);
    const quartile = this.#window.toSorted((a, b) => a - b)[QUARTILE] ?? Infinity;
    this.#isQuick = quartile <= QUICK_MS && slowest < STALL_MS;
    this.#window = [];
  }
}
