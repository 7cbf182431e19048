import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Has a process give memory back when it has nothing to do. V8 looks for buffers that nobody uses any more only when 64
 * MiB of new ones have come: after a load a process that gets none keeps them for good. While there is work V8's own
 * collector, which works beside the program and in small steps, is left alone: a collection from outside stops
 * everything.
 */
export interface MemoryWatchOptions {
  /** Buffers that have come since the last collection, and may be garbage, that are worth one. */
  readonly garbageBytes: number;
  /** What is done anyway between two looks, as `worked` counts it: leases, heartbeats, what readers say of themselves. */
  readonly littleWork: number;
  /** Of buffers, used or not. */
  readonly bufferBytes: () => number;
  readonly collect: () => void;
}

/** Looks in a row without work, after which nobody is held up. */
const QUIET_LOOKS = 4;

export class MemoryWatch {
  readonly #options: MemoryWatchOptions;
  /** The least that buffers took since the last collection: what is in use. */
  #lowBytes = Infinity;
  #quietLooks = 0;
  #worked = -Infinity;
  collections = 0;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
  }

  /**
   * Takes a look; `worked` counts what the process has done so far, whatever that is. Gives whether garbage was
   * collected.
   */
  look(worked: number): boolean {
    const { garbageBytes, littleWork, bufferBytes, collect } = this.#options;
    this.#quietLooks = worked - this.#worked <= littleWork ? this.#quietLooks + 1 : 0;
    this.#worked = worked;
    const buffers = bufferBytes();
    this.#lowBytes = Math.min(this.#lowBytes, buffers);
    if (buffers - this.#lowBytes < garbageBytes || this.#quietLooks < QUIET_LOOKS) return false;
    collect();
    this.collections++;
    // What is left by the next look is in use.
    this.#lowBytes = Infinity;
    return true;
  }
}

/** A collection of the whole heap, 5 to 30 ms for the heaps that our programs have. */
export function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node does not give its garbage collector');
  return () => void collect();
}
