import type { FollowWants, SeenFollower } from '@kube-aurora/rpc';

/** A reader's stream, as the segment sees it. */
export interface Follower {
  readonly reader: string;
  readonly wants: FollowWants;
  /** The reader has all redo up to here, wherever it has it from. */
  readonly takenLsn: bigint;
  /** 0 to 15, or NEVER_PROMOTED. */
  readonly promotionTier: number;
  /** When it said something last, by the clock's `now`. */
  readonly heardAtMs: number;
  /** More is durable, or known to be. */
  moved(): void;
  /** Another writer is obeyed, or the one that is has given its lease back. */
  writerChanged(): void;
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

  /** One of each reader, as it was last heard on any of its streams; no more than there are streams. */
  seen(now: number): SeenFollower[] {
    const newest = new Map<string, Follower>();
    for (const one of this.#followers) {
      const other = newest.get(one.reader);
      if (other === undefined || other.heardAtMs < one.heardAtMs) newest.set(one.reader, one);
    }
    return [...newest.values()].map(({ reader, promotionTier, takenLsn, heardAtMs }) => ({
      computeId: reader,
      promotionTier,
      takenLsn,
      silentMs: Math.max(0, Math.round(now - heardAtMs)),
    }));
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

  writerChanged(): void {
    for (const follower of this.#followers) follower.writerChanged();
  }

  closeAll(): void {
    for (const follower of this.#followers) follower.close();
  }
}
