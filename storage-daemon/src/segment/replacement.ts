import { join } from 'node:path';
import type { PageKey } from '@kube-aurora/redo-engine';
import { AuroraRpcError } from '@kube-aurora/rpc';
import type { Disk } from '../disk/disk.ts';
import type { StoreEntry } from '../disk/keyed-store.ts';
import { PageStore, type Checkpoint } from '../pages/page-store.ts';
import type { SegmentControl } from './control-file.ts';
import type { ContentState } from './content-state.ts';
import type { CurrentControl } from './current-control.ts';
import type { SegmentLimits } from './limits.ts';
import { logDirectory, pagesDirectory } from './open-storage.ts';

/**
 * Replaces a segment's pages as a whole, by an import's or a peer's: written beside the old ones, and taken with one
 * write of the control file.
 *
 * Invariant: what the control file becomes is worked out in its own turn, so that a promise given since the pages came
 * is kept; and until it is written everything is as it was.
 */

/**
 * What changes in the control file with new pages, given what it holds by then. Throws AuroraRpcError when they came
 * too late.
 */
export type ControlChange = (current: SegmentControl) => Partial<SegmentControl>;

/** Writes all of the new pages, their checkpoint included. */
export type Fill = (pages: NewPages) => Promise<ControlChange>;

/** New pages on their way to the disk. */
export class NewPages {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #store: PageStore;

  constructor(disk: Disk, directory: string, store: PageStore) {
    this.#disk = disk;
    this.#directory = directory;
    this.#store = store;
  }

  /** Free bytes of the disk. */
  async freeBytes(): Promise<number> {
    return (await this.#disk.space(this.#directory)).freeBytes;
  }

  /** Takes pages as of `lsn`. */
  async write(pages: readonly { readonly page: PageKey; readonly bytes: Buffer }[], lsn: bigint): Promise<void> {
    await this.#store.write(pages.map(({ page, bytes }) => ({ page, version: { lsn: Number(lsn), page: bytes } })));
  }

  /** They are all there: the volume's state goes with them. Durable when it resolves. */
  complete(checkpoint: Checkpoint, state: Buffer): Promise<void> {
    return this.#store.setCheckpoint(checkpoint, state, undefined);
  }

  /** Takes what another segment's `exportCopy` gave. Throws StoredValueError when a value fails its CRC. */
  async take(entries: readonly StoreEntry[]): Promise<void> {
    await this.#store.putRaw(entries);
  }

  /** The copy was given to its end. Durable when it resolves; false: it has no checkpoint, and so is none. */
  async completeCopy(): Promise<boolean> {
    const checkpoint = await this.#store.checkpoint();
    const state = await this.#store.state();
    if (checkpoint === undefined || state === undefined) return false;
    const removals = await this.#store.removals();
    await this.#store.setCheckpoint(checkpoint, Buffer.from(state), removals === undefined ? undefined : Buffer.from(removals));
    return true;
  }
}

export interface ReplacementOptions {
  readonly directory: string;
  readonly disk: Disk;
  readonly control: CurrentControl;
  readonly limits: SegmentLimits;
  readonly state: ContentState;
  /**
   * Has the segment let go of what it has open while `save` writes the control file: away before the new history shows,
   * as the old log may hold redo that it annuls. What it had is back when `save` rejects, and is closed otherwise.
   * Gives the end of the log that was open, 0n for none.
   */
  readonly letGo: (save: () => Promise<void>) => Promise<bigint>;
  /** Opens what the control file points to now. Gives whether its pages can be used with its log. */
  readonly open: () => Promise<boolean>;
}

export class Replacement {
  readonly #options: ReplacementOptions;

  constructor(options: ReplacementOptions) {
    this.#options = options;
  }

  /** Throws AuroraRpcError NOT_READY when one is under way already, or the disk takes nothing. */
  async run(fill: Fill): Promise<void> {
    await this.#run((generation) => this.#fill(generation, fill));
  }

  /** For a tail, which has no pages. Throws AuroraRpcError NOT_READY as `run` does. */
  async runWithoutPages(decide: () => Promise<ControlChange>): Promise<void> {
    await this.#run(decide);
  }

  async #run(prepare: (generation: number) => Promise<ControlChange>): Promise<void> {
    const { control, state } = this.#options;
    const refused = state.replace();
    if (refused !== undefined) throw new AuroraRpcError('NOT_READY', refused);
    const generation = control.value.pagesGeneration + 1;
    try {
      const change = await prepare(generation);
      await control.exclusive(() => this.#switch(generation, change(control.value)));
    } catch (error) {
      // What did not come to its end takes no room.
      if (control.value.pagesGeneration !== generation) await this.#remove(pagesDirectory(this.#options.directory, generation));
      throw error;
    } finally {
      state.on('replacingOver');
    }
  }

  async #fill(generation: number, fill: Fill): Promise<ControlChange> {
    const { directory, disk, limits } = this.#options;
    const target = pagesDirectory(directory, generation);
    await disk.removeTree(target);
    await disk.makeDirectory(target);
    const store = await PageStore.open(disk, target, {
      cacheBytes: limits.levelCacheBytes,
      writeBufferBytes: limits.levelWriteBufferBytes,
      flushPages: limits.flushPages,
    });
    try {
      return await fill(new NewPages(disk, target, store));
    } finally {
      await store.close();
    }
  }

  async #switch(generation: number, change: Partial<SegmentControl>): Promise<void> {
    const { directory, control, letGo, open } = this.#options;
    const old = control.value;
    const heldTo = await letGo(() =>
      control.save({
        ...change,
        ready: true,
        pagesGeneration: generation,
        ...(old.ready ? {} : { logGeneration: old.logGeneration + 1 }),
      }),
    );
    if (!(await open()) && old.ready) {
      // The log does not reach the new pages: what it held is fetched again.
      await letGo(() =>
        control.save({
          logGeneration: control.value.logGeneration + 1,
          recoverToLsn: heldTo > control.value.recoverToLsn ? heldTo : control.value.recoverToLsn,
        }),
      );
      await open();
    }
    await this.#remove(pagesDirectory(directory, old.pagesGeneration));
    if (control.value.logGeneration !== old.logGeneration) await this.#remove(logDirectory(directory, old.logGeneration));
  }

  /**
   * Removes what one that did not come to its end left, or one that did and could not remove what it replaced. At start
   * only.
   */
  async removeLeftovers(): Promise<void> {
    const { directory, disk, control } = this.#options;
    const { ready, pagesGeneration, logGeneration } = control.value;
    const used = ready ? [pagesDirectory('', pagesGeneration), logDirectory('', logGeneration)] : [];
    for (const name of disk.list(directory)) {
      if (/^(pages|log)-\d+$/.test(name) && !used.includes(name)) await this.#remove(join(directory, name));
    }
  }

  #remove(path: string): Promise<void> {
    return this.#options.disk.removeTree(path);
  }
}
