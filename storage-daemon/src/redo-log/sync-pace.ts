/**
 * Says where to wait for the disk. A sync that takes a fraction of a millisecond costs less on the caller's thread than two
 * hops through the thread pool; one that takes longer must not stop the event loop.
 *
 * Bound: a disk that turns slow stops the loop for a few syncs at most, then goes through the pool until its mean is low again.
 */
const QUICK_MEAN_MS = 1;
/** Weight of the newest sync in the mean. */
const NEWEST = 1 / 16;
/** More than this in one sync is the disk's work, not overhead. */
const BYTES_MAX = 64 * 1024;

export class SyncPace {
  /** Unproven disks count as slow. */
  #meanMs = 4 * QUICK_MEAN_MS;

  /** May `bytes` be synced on the caller's thread? */
  isQuick(bytes: number): boolean {
    return this.#meanMs <= QUICK_MEAN_MS && bytes <= BYTES_MAX;
  }

  /** A sync took so long. */
  note(ms: number): void {
    this.#meanMs += (ms - this.#meanMs) * NEWEST;
  }
}
