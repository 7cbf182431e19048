/** Looked at are the flushes of the last one to two of these. */
const WINDOW_MS = 3000;
/** Fewer say nothing. */
const FLUSHES_MIN = 10;

interface Window {
  quickestMs: number;
  flushes: number;
}

const EMPTY: Readonly<Window> = { quickestMs: Number.POSITIVE_INFINITY, flushes: 0 };

/**
 * How long the way to a quorum and back is: what the quickest of the last flushes took. Waiting for a core, for other batches and for
 * disks that are busy makes flushes slower, and none of them quicker than the network and the quietest disks are.
 */
export class QuickestFlush {
  readonly #all = { flushes: 0, flushMs: 0 };
  #before: Window = { ...EMPTY };
  #now: Window = { ...EMPTY };
  #beganMs = Number.NEGATIVE_INFINITY;

  /** So far. */
  get all(): { readonly flushes: number; readonly flushMs: number } {
    return { ...this.#all };
  }

  /** A flush was durable after `tookMs`. */
  note(tookMs: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#all.flushes++;
    this.#all.flushMs += tookMs;
    this.#now.flushes++;
    if (tookMs < this.#now.quickestMs) this.#now.quickestMs = tookMs;
  }

  /** Undefined: there were too few of late. */
  quickestMs(nowMs: number): number | undefined {
    this.#turn(nowMs);
    if (this.#before.flushes + this.#now.flushes < FLUSHES_MIN) return undefined;
    return Math.min(this.#before.quickestMs, this.#now.quickestMs);
  }

  #turn(nowMs: number): void {
    const passedMs = nowMs - this.#beganMs;
    if (passedMs < WINDOW_MS) return;
    this.#before = passedMs < 2 * WINDOW_MS ? this.#now : { ...EMPTY };
    this.#now = { ...EMPTY };
    this.#beganMs = nowMs;
  }
}
