import type { EngineId, EngineRegistry, RedoEngine } from '@kube-aurora/redo-engine';
import type { SegmentPhase } from '@kube-aurora/rpc';
import type { SegmentControl } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';
import type { SegmentLimits } from './limits.ts';
import type { RedoStorage } from './redo-storage.ts';
import type { SegmentIdentity } from './segment-identity.ts';
import type { SegmentLifecycle } from './segment-lifecycle.ts';
import type { SegmentStorage } from './segment-storage.ts';

export interface SegmentViewOptions {
  readonly engines: EngineRegistry;
  readonly identity: SegmentIdentity;
  readonly limits: SegmentLimits;
}

/** What a segment is, what it holds, and how it is: to be read by anybody here, and changed by none of it. */
export abstract class SegmentView {
  readonly volumeId: string;
  readonly pg: number;
  readonly #options: SegmentViewOptions;
  readonly #control: CurrentControl;

  protected constructor(options: SegmentViewOptions, control: CurrentControl) {
    this.#options = options;
    this.#control = control;
    this.volumeId = control.value.volumeId;
    this.pg = control.value.pg;
  }

  protected abstract get lifecycle(): SegmentLifecycle;

  get id(): { volumeId: string; pg: number } {
    return { volumeId: this.volumeId, pg: this.pg };
  }
  get identity(): SegmentIdentity {
    return this.#options.identity;
  }
  get limits(): SegmentLimits {
    return this.#options.limits;
  }
  /** The engine of a volume that is imported here. Throws EngineUnknownError. */
  engineFor(id: EngineId): RedoEngine {
    return this.#options.engines.get(id);
  }
  get control(): SegmentControl {
    return this.#control.value;
  }
  /**
   * What it holds; undefined while it is empty or cannot be used. Another one after a copy or when it was opened anew:
   * not to be kept.
   */
  get storage(): RedoStorage | undefined {
    return this.lifecycle.storage;
  }
  /** The same, of a segment that has pages: undefined of a tail. */
  get pages(): SegmentStorage | undefined {
    return this.lifecycle.pages;
  }
  get phase(): SegmentPhase {
    return this.lifecycle.phase;
  }
  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.lifecycle.scl;
  }
  /** Why reads are refused; undefined when they are not. */
  get damage(): string | undefined {
    return this.lifecycle.damage;
  }
  /** Why no redo is taken although it could be read: the disk is full or fails. Undefined while redo is taken. */
  get unwritable(): string | undefined {
    return this.lifecycle.unwritable;
  }
  /** Must it get redo back that it may have acknowledged once? */
  get mustRecover(): boolean {
    return this.lifecycle.mustRecover;
  }
  /** Empty, or with a store that only a copy from a peer can replace. */
  get needsCopy(): boolean {
    return this.lifecycle.needsCopy;
  }
  /** Bytes that wait for the disk, the index or to be applied. */
  get queuedBytes(): number {
    return this.storage?.queuedBytes ?? 0;
  }
}
