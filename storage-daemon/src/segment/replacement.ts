import { join } from 'node:path';
import type { PageKey } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type StandIn } from '@kube-aurora/rpc';
import type { Disk } from '../disk/disk.ts';
import type { StoreEntry } from '../disk/keyed-store.ts';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { PageStore } from '../pages/page-store.ts';
import type { Checkpoint } from '../pages/stored-pages.ts';
import type { SegmentControl } from './control-file.ts';
import type { ContentState } from './content-state.ts';
import type { CurrentControl } from './current-control.ts';
import type { SegmentLimits } from './limits.ts';
import { logDirectory, pagesDirectory } from './open-storage.ts';
import type { SegmentForms, SegmentKey } from './segment-key.ts';

/**
 * Replaces a segment's pages as a whole, by an import's or a peer's: written beside the old ones, and taken with one
 * write of the control file. A tail that is to stand in for a full segment gets pages, and gives them up, in the same way.
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

/**
 * Writes all of a peer's pages for a tail, their checkpoint included. Gives what they are taken for, once they fit its
 * log; throws AuroraRpcError where they do not.
 */
export type FillBeside = (pages: NewPages) => Promise<(current: SegmentControl) => StandIn>;

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
    await this.#store.write(pages.map(({ page, bytes }) => ({ page, version: { lsn, page: bytes } })));
  }

  /** What a copy that has come to its end stands for; undefined before. */
  checkpoint(): Promise<Checkpoint | undefined> {
    return this.#store.checkpoint();
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
  readonly key: SegmentKey;
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
  /** The highest that was ever begun here: two that are under way never share a directory. */
  #generation = 0;

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

  /**
   * Gives a tail pages beside its log, which stays as it is. It takes redo and promises meanwhile as ever: of the time that a copy
   * takes nobody notices anything.
   *
   * Invariants: the control file says that it stands in only once all pages are durable; its log, with all that a tail keeps, goes on
   * from before to after. Throws AuroraRpcError NOT_READY when something else took the segment's place meanwhile.
   */
  async addPages(fill: FillBeside): Promise<void> {
    const { control } = this.#options;
    const before = control.value;
    const generation = this.#nextGeneration();
    try {
      const decide = await this.#fill(generation, fill);
      await control.exclusive(async () => {
        if (control.value.pagesGeneration !== before.pagesGeneration || control.value.standIn !== undefined)
          throw new AuroraRpcError('NOT_READY', 'the segment was replaced while pages came');
        const standIn = decide(control.value);
        await this.#reopen({ standIn, pagesGeneration: generation });
      });
    } finally {
      if (control.value.standIn === undefined) await this.#remove(pagesDirectory(this.#options.directory, generation));
    }
  }

  /** Gives them up: the tail has its log alone again. Nobody may need what is only there. */
  async dropPages(): Promise<void> {
    const { control, directory } = this.#options;
    await control.exclusive(async () => {
      const { standIn, pagesGeneration } = control.value;
      if (standIn === undefined) return;
      await this.#reopen({ standIn: undefined });
      await this.#remove(pagesDirectory(directory, pagesGeneration));
    });
  }

  /** Opens what the control file says with this change. In its turn. */
  async #reopen(change: Partial<SegmentControl>): Promise<void> {
    const { control, state, letGo, open } = this.#options;
    const refused = state.replace();
    if (refused !== undefined) throw new AuroraRpcError('NOT_READY', refused);
    try {
      await letGo(() => control.save(change));
      await open();
    } finally {
      state.on('replacingOver');
    }
  }

  #nextGeneration(): number {
    this.#generation = Math.max(this.#generation, this.#options.control.value.pagesGeneration) + 1;
    return this.#generation;
  }

  async #run(prepare: (generation: number) => Promise<ControlChange>): Promise<void> {
    const { control, state } = this.#options;
    const refused = state.replace();
    if (refused !== undefined) throw new AuroraRpcError('NOT_READY', refused);
    const generation = this.#nextGeneration();
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

  async #fill<T>(generation: number, fill: (pages: NewPages) => Promise<T>): Promise<T> {
    const { directory, disk, limits, key } = this.#options;
    // Before anything is removed.
    const { pages: form } = formsOf(key);
    const target = pagesDirectory(directory, generation);
    await disk.removeTree(target);
    await disk.makeDirectory(target);
    const store = await PageStore.open(disk, target, {
      cacheBytes: limits.levelCacheBytes,
      writeBufferBytes: limits.levelWriteBufferBytes,
      flushPages: limits.flushPages,
      form,
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
        // A tail begins anew as one: the pages that it may have had do not fit its new log.
        standIn: undefined,
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
    const { ready, role, standIn, pagesGeneration, logGeneration } = control.value;
    const pages = role === 'FULL' || standIn !== undefined ? [pagesDirectory('', pagesGeneration)] : [];
    const used = ready ? [...pages, logDirectory('', logGeneration)] : [];
    for (const name of disk.list(directory)) {
      if (/^(pages|log)-\d+$/.test(name) && !used.includes(name)) await this.#remove(join(directory, name));
    }
  }

  #remove(path: string): Promise<void> {
    return this.#options.disk.removeTree(path);
  }
}

/** Throws AuroraRpcError NOT_READY while its key is not there: an import is refused, and nothing is written plain instead. */
function formsOf(key: SegmentKey): SegmentForms {
  try {
    return key.forms;
  } catch (error) {
    if (error instanceof KeyUnusableError) throw new AuroraRpcError('NOT_READY', error.message);
    throw error;
  }
}
