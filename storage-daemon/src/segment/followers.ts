import type { FollowWants } from '@kube-aurora/rpc';

/** A reader's stream, as the segment sees it. */
export interface Follower {
  readonly reader: string;
  readonly wants: FollowWants;
  /** The reader has all redo up to here; 0n of one that wants none. */
  readonly takenLsn: bigint;
  /** More is durable, or known to be. */
  moved(): void;
  /** The segment goes away. */
  close(): void;
}

/** The readers that follow a segment. No epoch concerns them: what they are sent is never annulled. */
export class Followers {
  readonly #followers = new Set<Follower>();
  readonly #watchers = new Set<() => void>();

  get size(): number {
    return this.#followers.size;
  }

  /** Does one of them wait for what becomes durable? */
  get areWaiting(): boolean {
    for (const { wants } of this.#followers) if (wants !== 'FLOOR') return true;
    return false;
  }

  /** What the slowest of those that want redo has; undefined when none does. */
  get lowestTaken(): bigint | undefined {
    let lowest: bigint | undefined;
    for (const { wants, takenLsn } of this.#followers)
      if (wants === 'REDO' && (lowest === undefined || takenLsn < lowest)) lowest = takenLsn;
    return lowest;
  }

  /** For status. */
  list(): { readonly reader: string; readonly wants: FollowWants; readonly takenLsn: bigint }[] {
    return [...this.#followers].map(({ reader, wants, takenLsn }) => ({ reader, wants, takenLsn }));
  }

  add(follower: Follower): void {
    this.#followers.add(follower);
  }

  remove(follower: Follower): void {
    this.#followers.delete(follower);
  }

  /** Calls `look` whenever more is durable, or known to be, until what this gives is called. */
  watch(look: () => void): () => void {
    this.#watchers.add(look);
    return () => void this.#watchers.delete(look);
  }

  moved(): void {
    for (const look of this.#watchers) look();
    for (const follower of this.#followers) follower.moved();
  }

  closeAll(): void {
    for (const follower of this.#followers) follower.close();
  }
}
