import { compareLsn } from '@kube-aurora/pg-format/lsn';
import { lowerXmins, NO_XMINS, type StandbyXmins } from '@kube-aurora/rpc';

/**
 * The lowest LSN that any compute may still read at (PGMRPL): pages may be stored as of it, since nobody asks for what
 * they were before. Each compute announces its own read floor, on its stream; this is the minimum over those that are
 * heard. Pure: the clock is the caller's.
 *
 * Invariants: the minimum never goes back, as versions below it may be gone. A compute that is heard is never passed
 * over. One that was silent for SILENT_MS is, or for LEFT_MS after its stream was over: a reader that died must not
 * hold the volume's redo for ever. Whoever is silent for that long and lives may find what it reads gone (TOO_OLD).
 * While no writer is heard here, what peers say counts as one that reads: the writer may be heard there, and readers
 * that are heard here know nothing of it.
 *
 * Beside it stands what each reader's snapshots may need (hot_standby_feedback), for the writer: what it says of that counts
 * for as long as its floor does. It concerns which rows the writer vacuums, and nothing that storage does.
 */

/** A reader whose stream is over may come back within so long, to this segment or another. */
export const LEFT_MS = 10_000;

/**
 * A compute says something every 5 seconds at least (IDLE_BEAT_MS in compute-node's volume-writer.ts); this is six
 * times that.
 */
export const SILENT_MS = 30_000;

interface Heard {
  readonly isWriter: boolean;
  readonly lsn: bigint;
  readonly at: number;
  readonly xmins: StandbyXmins;
}

export class ReadFloors {
  readonly #computes = new Map<string, Heard>();
  #ofPeers = 0n;
  #lowest = 0n;

  /** A writer reads at `lsn` or later; `now` in ms. */
  noteWriter(compute: string, lsn: bigint, now: number): void {
    this.#note(compute, lsn, now, true);
  }

  /** The same of a reader. */
  noteReader(compute: string, lsn: bigint, now: number): void {
    this.#note(compute, lsn, now, false);
  }

  #note(compute: string, lsn: bigint, now: number, isWriter: boolean): void {
    const { lsn: before = 0n, xmins = NO_XMINS } = this.#computes.get(compute) ?? {};
    this.#computes.set(compute, { isWriter, lsn: lsn > before ? lsn : before, at: now, xmins });
  }

  /** A reader, whose floor was noted, says what its snapshots may need. */
  noteXmins(reader: string, xmins: StandbyXmins): void {
    const heard = this.#computes.get(reader);
    if (heard !== undefined) this.#computes.set(reader, { ...heard, xmins });
  }

  /** A peer's own minimum. */
  notePeers(lsn: bigint): void {
    if (lsn > this.#ofPeers) this.#ofPeers = lsn;
  }

  /** A compute's stream is over, and perhaps it is, too: from now on it has LEFT_MS to say something. */
  left(compute: string, now: number): void {
    const heard = this.#computes.get(compute);
    if (heard !== undefined) this.#computes.set(compute, { ...heard, at: Math.min(heard.at, now - SILENT_MS + LEFT_MS) });
  }

  /** A compute reads no more. */
  release(compute: string): void {
    this.#computes.delete(compute);
  }

  /** The minimum; 0n while nobody was ever heard. */
  lowest(now: number): bigint {
    this.#passOver(now);
    const heard = [...this.#computes.values()];
    const floors = heard.map(({ lsn }) => lsn);
    if (!heard.some(({ isWriter }) => isWriter)) floors.push(this.#ofPeers);
    const lowest = floors.reduce((a, b) => (a < b ? a : b));
    if (lowest > this.#lowest) this.#lowest = lowest;
    return this.#lowest;
  }

  /** The lowest of what readers said that they may need; 0n of a kind that none does. */
  lowestXmins(now: number): StandbyXmins {
    this.#passOver(now);
    let lowest = NO_XMINS;
    for (const { xmins } of this.#computes.values()) lowest = lowerXmins(lowest, xmins);
    return lowest;
  }

  /** Who is heard, with the lowest floor first. */
  holders(): { readonly compute: string; readonly lsn: bigint; readonly xmins: StandbyXmins }[] {
    return [...this.#computes].map(([compute, { lsn, xmins }]) => ({ compute, lsn, xmins })).toSorted((a, b) => compareLsn(a.lsn, b.lsn));
  }

  #passOver(now: number): void {
    for (const [compute, { at }] of this.#computes) if (now - at >= SILENT_MS) this.#computes.delete(compute);
  }
}
