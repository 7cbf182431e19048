/**
 * Says where to read: what the operating system has in its memory is read in microseconds, and costs less on the
 * caller's thread than two hops through the thread pool; what waits for a disk must not stop the event loop.
 *
 * What counts is the quicker part of recent reads: a machine that is short of CPU makes some look slow, a slow disk
 * all. Bound: of reads that wait for a disk at most WINDOW in every WINDOW + REST stop the loop, and after one that
 * took STALL_MS the next REST do not.
 */
const QUICK_MS = 0.2;
const WINDOW = 16;
/** Of a window's reads, in order of time, the one that is looked at. */
const QUARTILE = WINDOW / 4;
const STALL_MS = 5;
/** Reads that go through the pool before it is tried again without. */
const REST = 512;

export class ReadPace {
  #window: number[] = [];
  #rest = 0;

  /** May the next read be made on the caller's thread? */
  isQuick(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** A read on the caller's thread took so long. */
  note(ms: number): void {
    this.#window.push(ms);
    if (ms < STALL_MS && this.#window.length < WINDOW) return;
    const quartile = this.#window.toSorted((a, b) => a - b)[QUARTILE] ?? 0;
    if (ms >= STALL_MS || quartile > QUICK_MS) this.#rest = REST;
    this.#window = [];
  }
}
