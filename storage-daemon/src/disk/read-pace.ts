/**
 * Says where to read: what the operating system has in its memory is read in microseconds, and costs less on the
 * caller's thread than two hops through the thread pool; what waits for a disk must not stop the event loop.
 *
 * What counts is the quicker part of recent reads: a machine that is short of CPU makes some look slow, a slow disk
 * all. Once a read, or most of them, look slow, the time that the thread waited for a core is taken off the next ones: that costs as much as
 * reading a page does, and tells the one from the other. Bound: of reads that wait for a disk at most WINDOW in every WINDOW + REST stop the
 * loop, beside one WINDOW after a quick disk has become slow; and after two in a row of a window that took STALL_MS the next REST do not.
 */
const QUICK_MS = 0.2;
const WINDOW = 16;
/** Of a window's reads, in order of time, the one that is looked at. */
const QUARTILE = WINDOW / 4;
const STALL_MS = 5;
/** Reads that go through the pool before it is tried again without. */
const REST = 512;

/** Both in milliseconds. */
export interface ReadTimes {
  readonly now: () => number;
  /** For how long the caller's thread has been ready to run and had no core; 0 where nobody knows. */
  readonly waitedForCore: () => number;
}

export class ReadPace {
  readonly #times: ReadTimes;
  #window: number[] = [];
  #rest = 0;
  /** Something looked slow: is it the disk? */
  #isCareful = false;

  constructor(times: ReadTimes) {
    this.#times = times;
  }

  /** May the next read be made on the caller's thread? */
  isQuick(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** Makes a read on the caller's thread, or `count` of them, which are taken for equal. */
  timed<T>(read: () => T, count = 1): T {
    const { now, waitedForCore } = this.#times;
    const isCareful = this.#isCareful;
    const waitedMs = isCareful ? waitedForCore() : 0;
    const startedAt = now();
    const got = read();
    const tookMs = now() - startedAt;
    this.#note((isCareful ? Math.max(0, tookMs - (waitedForCore() - waitedMs)) : tookMs) / Math.max(1, count));
    return got;
  }

  #note(ms: number): void {
    this.#window.push(ms);
    if (ms < STALL_MS && this.#window.length < WINDOW) return;
    const quartile = this.#window.toSorted((a, b) => a - b)[QUARTILE] ?? 0;
    const isSlow = ms >= STALL_MS || quartile > QUICK_MS;
    if (isSlow && this.#isCareful) this.#rest = REST;
    this.#isCareful = isSlow;
    this.#window = [];
  }
}
