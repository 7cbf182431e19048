import { compareLsn } from '@kube-aurora/pg-format/lsn';

/**
 * Who needs redo of this segment to stay in its log, and from where on. Redo below the checkpoint is no longer needed
 * for pages; it goes unless somebody holds it here.
 *
 * Invariant: redo at or past a holder's floor stays, except that those who give way are passed over while there is no
 * room for more.
 */
export interface Holder {
  /** For people: status and metrics show it. */
  readonly name: string;
  /** Redo that ends past it stays. Asked anew each time; never falls. */
  readonly floor: () => bigint;
  /** Can do without it: when the disk or the log is full, redo goes all the same. */
  readonly givesWay: boolean;
}

/** A holder as it stands. */
export interface HeldRedo {
  readonly name: string;
  readonly floorLsn: bigint;
  readonly givesWay: boolean;
}

export class Retention {
  readonly #isShort: () => boolean;
  readonly #holders = new Set<Holder>();

  /** `isShort`: there is no room for more, in the log or on its disk. Who gives way has to copy the pages then. */
  constructor(isShort: () => boolean) {
    this.#isShort = isShort;
  }

  /** Holds redo until what this gives is called. */
  hold(holder: Holder): () => void {
    const own = { ...holder };
    this.#holders.add(own);
    return () => void this.#holders.delete(own);
  }

  /** Up to where redo may go. */
  dropLimit(checkpointLsn: bigint): bigint {
    const isShort = this.#isShort();
    let limit = checkpointLsn;
    for (const { floor, givesWay } of this.#holders) {
      if (givesWay && isShort) continue;
      const lsn = floor();
      if (lsn < limit) limit = lsn;
    }
    return limit;
  }

  /** Who holds redo, from the lowest floor on. */
  holders(): HeldRedo[] {
    return [...this.#holders]
      .map(({ name, floor, givesWay }) => ({ name, floorLsn: floor(), givesWay }))
      .toSorted((a, b) => compareLsn(a.floorLsn, b.floorLsn));
  }
}
