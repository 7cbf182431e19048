import { maxLsn, type Lsn } from '@kube-aurora/pg-format';

/** Marks closer together than this are one: lag is told to a few milliseconds. */
const MARK_EVERY_MS = 2;
const MARKS_MAX = 4096;

interface Mark {
  lsn: Lsn;
  /** When this, or what is below it, was first known to be durable; ms. */
  readonly at: number;
}

/**
 * How far a reader has replayed, and for how long what it has not replayed yet is known to be durable. Pure: the clock
 * is the caller's.
 */
export class ReplayProgress {
  #vdl: Lsn;
  #applied: Lsn;
  /** What is durable and not replayed, ascending. */
  readonly #marks: Mark[] = [];

  constructor(startLsn: Lsn) {
    this.#vdl = startLsn;
    this.#applied = startLsn;
  }

  /** The highest LSN that is known to be durable. */
  get vdl(): Lsn {
    return this.#vdl;
  }

  /** Queries see the volume as of here, or later. */
  get replayLsn(): Lsn {
    return this.#applied;
  }

  noteDurable(lsn: Lsn, now: number): void {
    if (lsn <= this.#vdl) return;
    this.#vdl = lsn;
    const last = this.#marks.at(-1);
    if (last !== undefined && (now - last.at < MARK_EVERY_MS || this.#marks.length >= MARKS_MAX)) last.lsn = lsn;
    else this.#marks.push({ lsn, at: now });
  }

  noteReplayed(lsn: Lsn): void {
    this.#applied = maxLsn(this.#applied, lsn);
    let done = 0;
    while ((this.#marks[done]?.lsn ?? this.#applied + 1n) <= this.#applied) done++;
    this.#marks.splice(0, done);
  }

  /** For how long the oldest redo that was not replayed is known to be durable; 0 when all is replayed. */
  lagMs(now: number): number {
    const oldest = this.#marks[0];
    return oldest === undefined ? 0 : Math.max(0, now - oldest.at);
  }
}
