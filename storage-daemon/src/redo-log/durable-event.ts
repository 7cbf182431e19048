import type { ChainLink } from './log-chain.ts';

/**
 * Redo of a segment has got to its disk: said once after each sync, to everybody who listens, with the new end of what
 * is there. It is the one way in which an acknowledgement gets from the disk to writers, to those who wait, and to the
 * applier. It outlives the log: a segment that opens its log anew goes on with the same listeners.
 *
 * Invariant: it is said only after the sync that covers `end`. Listeners do not throw, and do not depend on one
 * another's order.
 */
export type DurableListener = (end: ChainLink) => void;

export class DurableEvent {
  readonly #listeners = new Set<DurableListener>();

  /** Gives what ends the subscription. */
  subscribe(listener: DurableListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(end: ChainLink): void {
    for (const listener of this.#listeners) listener(end);
  }
}
