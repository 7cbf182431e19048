/**
 * Says where to wait for the disk. A sync that takes a fraction of a millisecond costs less on the caller's thread than
 * two hops through the thread pool; one that takes longer must not stop the event loop.
 *
 * | place |                                                                                                   |
 * | ----- | ------------------------------------------------------------------------------------------------- |
 * | pool  | the disk is slow, or nothing is known of it                                                       |
 * | here  | it is quick: syncs of few bytes are waited for on the caller's thread                             |
 * | timed | likewise, to find out whether a disk that looked slow is: what the thread waits for a core is left out |
 *
 * A machine that is short of cores makes every disk look slow: of 40 ms that a sync takes there, the disk may have had
 * 0.4. The pool would be the worst answer to that, since it waits for a core three times. So what looks slow is looked
 * at again without those waits, for a few syncs (asking how long they were costs two calls of the kernel); and a disk
 * that was found slow is now and then.
 *
 * What counts is the quicker part of recent syncs. Bound: a disk that turns slow stops the loop for WINDOW and TIMED
 * syncs, one that hangs for two, and afterwards for TIMED in every RESTS windows.
 */
export type SyncPlace = 'pool' | 'here' | 'timed';

const QUICK_MS = 0.7;
const WINDOW = 16;
/** Syncs of a second look. */
const TIMED = 4;
/** One sync this slow is enough. */
const STALL_MS = 50;
/** More than this in one sync is the disk's work, not overhead. */
const BYTES_MAX = 64 * 1024;
/** Windows of slow syncs in the pool before a disk that was found slow is looked at again. */
const RESTS = 16;

export class SyncPace {
  #place: SyncPlace = 'pool';
  #window: number[] = [];
  /** Windows until the next second look; an unproven disk has one soon. */
  #rests = 1;

  /** Where `bytes` are to be synced. */
  placeFor(bytes: number): SyncPlace {
    return bytes <= BYTES_MAX ? this.#place : 'pool';
  }

  /** A sync at `place` took the disk so long. What was not synced where it is decided now says nothing: it was large, or began before. */
  note(place: SyncPlace, ms: number): void {
    if (place !== this.#place) return;
    this.#window.push(ms);
    const isStall = ms >= STALL_MS && place !== 'pool';
    if (!isStall && this.#window.length < (place === 'timed' ? TIMED : WINDOW)) return;
    // Of all of them, in order of time, the last of the first quarter.
    const sorted = this.#window.toSorted((a, b) => a - b);
    const isQuick = !isStall && (sorted[Math.floor(sorted.length / 4)] ?? Infinity) <= QUICK_MS;
    this.#window = [];
    if (isQuick) this.#place = 'here';
    else if (place === 'here') this.#place = 'timed';
    else if (place === 'timed') {
      this.#place = 'pool';
      this.#rests = RESTS;
    } else if (--this.#rests <= 0) this.#place = 'timed';
  }
}
