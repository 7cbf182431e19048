import type { Cluster } from './cluster.ts';
import type { StorageMachine } from './storage.ts';

/**
 * How much may be lost at a time. Anything may happen to machines, clocks and the network; disks may lose what they
 * synced only as far as the volume promises to bear it: a zone and one more at once, and one that does not know that it
 * lost something, which no quorum of four can tell from a liar, only alone.
 */

export type DiskLoss = 'known' | 'unknown';

/** A zone and one more. */
export const LOSSES_MAX = 3;

export class FaultBudget {
  readonly #cluster: Cluster;
  readonly #lost = new Map<StorageMachine, DiskLoss>();
  /** What is wrong with these disks has not come to light yet. */
  readonly #hidden = new Set<StorageMachine>();
  /** Everywhere up to here, what was lost is there again. */
  #levelAt: bigint | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get isIntact(): boolean {
    return this.#lost.size === 0;
  }

  /** Six copies of all that was acknowledged, and nothing lost. */
  get isLevel(): boolean {
    const acknowledged = this.#cluster.history.newest?.lsn;
    return this.isIntact && acknowledged !== undefined && this.#cluster.hasEverywhere(acknowledged);
  }

  /** Takes note of what a disk loses; false when that would be too much, and must not happen. */
  take(machine: StorageMachine, loss: DiskLoss, most = LOSSES_MAX - 1): boolean {
    // A segment that was never told of the volume has nothing to lose, but its promises.
    if (!this.#cluster.history.isImported) return false;
    const others = [...this.#lost.keys()].filter((one) => one !== machine);
    if (loss === 'unknown' ? this.#lost.size > 0 : [...this.#lost.values()].includes('unknown')) return false;
    if (others.length >= most) return false;
    this.#lost.set(machine, loss);
    this.#cluster.invariants.noteLoss(machine);
    this.#levelAt = undefined;
    if (loss === 'known') return true;
    this.#cluster.invariants.distrust(machine);
    this.#hidden.add(machine);
    return true;
  }

  /** The disk was read anew: what it lost shows from now on, as far as it ever will. */
  shown(machine: StorageMachine): void {
    this.#hidden.delete(machine);
  }

  /** Looks whether everything is level again: then whatever disks had lost is there again. */
  look(): void {
    const { history, invariants } = this.#cluster;
    if (this.#lost.size === 0 || this.#hidden.size > 0) {
      this.#levelAt = undefined;
      return;
    }
    this.#levelAt ??= history.newest?.lsn;
    if (this.#levelAt === undefined || !this.#cluster.hasEverywhere(this.#levelAt)) return;
    for (const machine of this.#lost.keys()) invariants.trust(machine, this.#levelAt);
    this.#lost.clear();
  }
}
