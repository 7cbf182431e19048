import type { Disk } from '../disk/disk.ts';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import type { BatchOperation, KeyedStoreOptions, StoreEntry } from '../disk/keyed-store.ts';
import { decodeKey, type PageKey } from '@kube-aurora/redo-engine';
import { convertVersions } from './convert-versions.ts';
import { isSamePlace, sealPlace, versionCrc, type Place } from './place-codec.ts';
import { DIGEST_KEY, PAGE_PREFIX, PlaceIndex, placeOf } from './place-index.ts';
import { scrubValues, type Scrubbed, type ScrubbedParts } from './scrub-values.ts';
import { SlotFile, type PlacesInRoom } from './slot-file.ts';
import { firstKeyOf, keyAfter } from './space-keys.ts';
import type { Checkpoint, PageVersion, StoredPages } from './stored-pages.ts';
import { openValue, sealValue, StoredValueError } from './stored-value.ts';
import { pageOfKey, pageStoreKey } from './store-key.ts';
import { PageTurn } from './page-turn.ts';
import type { StoredForm } from './stored-form.ts';
import { partsOfVersion, versionValue } from './version-value.ts';

/**
 * Page versions and the state they belong to, by key. One version a page: nothing reads below PGMRPL, so a checkpoint
 * replaces the version before it. Pages are in the slots of a file (slot-file.ts), each written once; an index
 * (place-index.ts) has
 *
 *   'p' page key   where the page's version is: it has all redo that ends at or below its LSN
 *   'm'            the checkpoint: all pages have at least all redo up to it; u64 LSN, u64 epoch of the batch that ends
 *                  there
 *   's'            the engine's state at the checkpoint
 *   'r'            removals that the checkpoint left: what was dropped up to it and may still be stored; absent:
 *                  nothing
 *   'd'            the digest of the others (place-codec.ts)
 *
 * A version is written into a slot that the durable index does not name; its place is in memory until the next flush.
 * That syncs the file, then changes the index in one durable batch, and only then are the slots free that the index
 * named before. So after a crash at any point each slot that the index names holds what it says. What was not flushed
 * the log makes again.
 */
const CHECKPOINT_KEY = Buffer.from('m');
const STATE_KEY = Buffer.from('s');
const REMOVALS_KEY = Buffer.from('r');
const NO_KEY = Buffer.alloc(0);
const BLOCK_MAX = 0xffff_ffff;
/** Pages that are read at once. */
const STRETCH = 64;
/** A slot may get another page between a look at the index and one at the slot, but not time and again. */
const LOOKS_MAX = 8;

export interface PageStoreOptions extends KeyedStoreOptions {
  /** Versions that are flushed at once: what is in memory of them, and what a crash has to make again. */
  readonly flushPages: number;
  /** How what it holds stands on disk. */
  readonly form: StoredForm;
}

/** What becomes of a page in the index. */
type Change = Place | 'gone';

const textOf = (key: Buffer): string => key.toString('latin1');

export class PageStore {
  readonly #index: PlaceIndex;
  readonly #slots: SlotFile;
  readonly #flushPages: number;
  readonly #form: StoredForm;
  /** What the durable index does not have yet, by key. */
  readonly #changes = new Map<string, Change>();
  /**
   * Those who read slots that the index named when they began; while there is one, no slot that it named becomes free.
   */
  #pins = 0;
  #freeOnceUnpinned: number[] = [];
  readonly #turn = new PageTurn();
  /** After a write that failed it is unknown what the disk has: nothing is written any more. */
  #failure: unknown;

  private constructor(index: PlaceIndex, slots: SlotFile, { flushPages, form }: PageStoreOptions) {
    this.#index = index;
    this.#slots = slots;
    this.#flushPages = flushPages;
    this.#form = form;
  }

  /**
   * Opens or makes the store in a directory; one of an older format is converted. Throws what the disk's openStore
   * throws, and StoredValueError when the index is not what was written.
   */
  static async open(disk: Disk, directory: string, options: PageStoreOptions): Promise<PageStore> {
    const store = await disk.openStore(directory, options);
    let slots: SlotFile | undefined;
    try {
      const index = await PlaceIndex.open(store);
      const opened = await SlotFile.open(disk, directory, index.pageBytes);
      slots = opened;
      if (await index.takeIn((slot) => opened.map.mark(slot))) await convertVersions(index, opened);
      return new PageStore(index, opened, options);
    } catch (error) {
      await slots?.close();
      await store.close();
      throw error;
    }
  }

  // Reading ---------------------------------------------------------------------------------------------------------

  /** The page's version, the caller's own; undefined when there is none. Throws StoredValueError on damage. */
  async get(page: PageKey): Promise<PageVersion | undefined> {
    const [version] = await this.getMany([page]);
    if (version instanceof StoredValueError) throw version;
    return version;
  }

  /**
   * The versions of many pages, in their order; a damaged one is its error. Throws StoredValueError when LevelDB finds
   * damage. With `into` they stand there, where pages are stored as they are.
   */
  async getMany(pages: readonly PageKey[], into?: PlacesInRoom): Promise<StoredPages> {
    const keys = pages.map(pageStoreKey);
    const found: (PageVersion | StoredValueError | undefined)[] = keys.map(() => undefined);
    const seen = new Map<number, Place>();
    let wanted = keys.map((_key, at) => at);
    for (let look = 1; wanted.length > 0; look++) {
      const places = await this.#places(wanted.map((at) => keys[at] ?? NO_KEY));
      const reading: { readonly at: number; readonly place: Place }[] = [];
      wanted.forEach((at, nth) => {
        const place = places[nth];
        if (place === undefined || place instanceof StoredValueError) found[at] = place;
        else reading.push({ at, place });
      });
      const inRoom = into === undefined ? undefined : { room: into.room, places: reading.map(({ at }) => into.places[at] ?? 0) };
      const slots = await this.#slots.read(
        reading.map(({ place }) => place.slot),
        inRoom,
      );
      wanted = [];
      for (const [nth, { at, place }] of reading.entries()) {
        const key = keys[at] ?? NO_KEY;
        const page = slots[nth];
        const opened = page === undefined ? new StoredValueError(key, `slot ${place.slot} is not there`) : this.#open(key, place, page);
        if (!(opened instanceof StoredValueError)) found[at] = { lsn: place.lsn, page: opened };
        else if (isSamePlace(place, seen.get(at)) || look === LOOKS_MAX) found[at] = opened;
        else {
          // It may have got another page meanwhile.
          seen.set(at, place);
          wanted.push(at);
        }
      }
    }
    return found;
  }

  /** The page that its place names, or why it is not what was written. */
  #open(key: Buffer, place: Place, stored: Buffer): Buffer | StoredValueError {
    try {
      return this.#form.pageFromDisk(key, place, stored);
    } catch (error) {
      if (error instanceof StoredValueError) return error;
      throw error;
    }
  }

  /** Another value. Throws StoredValueError, and KeyUnusableError. */
  async #value(key: Buffer): Promise<Buffer | undefined> {
    const stored = await this.#index.value(key);
    return stored === undefined ? undefined : this.#form.valueFromDisk(key, stored);
  }

  #put(key: Buffer, value: Buffer): BatchOperation {
    return { type: 'put', key, value: sealValue(key, this.#form.valueToDisk(key, value)) };
  }

  /** Where pages are, as of the call. */
  async #places(keys: readonly Buffer[]): Promise<(Place | StoredValueError | undefined)[]> {
    const changes = keys.map((key) => this.#changes.get(textOf(key)));
    const asked = keys.filter((_key, at) => changes[at] === undefined);
    const places = asked.length === 0 ? [] : await this.#index.places(asked);
    let next = 0;
    return changes.map((change) => (change === undefined ? places[next++] : change === 'gone' ? undefined : change));
  }

  async checkpoint(): Promise<Checkpoint | undefined> {
    const value = await this.#value(CHECKPOINT_KEY);
    return value === undefined ? undefined : { lsn: value.readBigUInt64BE(0), epoch: value.readBigUInt64BE(8) };
  }

  /** The engine's state at the checkpoint, as its engine encoded it. */
  state(): Promise<Buffer | undefined> {
    return this.#value(STATE_KEY);
  }

  /** The removals that the last checkpoint left, as they were given to `setCheckpoint`; undefined when all are done. */
  removals(): Promise<Buffer | undefined> {
    return this.#value(REMOVALS_KEY);
  }

  /** Stored pages of the spaces that begin with `spaces`, in key order. */
  pagesOfSpaces(spaces: string): AsyncGenerator<PageKey> {
    return this.#pagesBetween(firstKeyOf(spaces), keyAfter(spaces));
  }

  /** Stored pages of one space, from block `from` up to, not including, `before`. */
  pagesOfBlocks(space: string, from: number, before: number): AsyncGenerator<PageKey> {
    const end = before > BLOCK_MAX ? keyAfter(space) : pageStoreKey({ space, block: before });
    return this.#pagesBetween(pageStoreKey({ space, block: from }), end);
  }

  async *#pagesBetween(from: Buffer, to: Buffer): AsyncGenerator<PageKey> {
    await this.#exclusive(() => this.#flush([]));
    for await (const key of this.#index.keys(from, to)) yield decodeKey(key.subarray(1));
  }

  // Writing ---------------------------------------------------------------------------------------------------------

  /** Writes versions and removes others. Durable with the next checkpoint, or before it. */
  write(puts: readonly { page: PageKey; version: PageVersion }[], removes: readonly PageKey[] = []): Promise<void> {
    return this.#exclusive(async () => {
      const stored = puts.map(({ page, version: { lsn, page: bytes } }) => {
        const key = pageStoreKey(page);
        return { key, lsn, ...this.#form.pageToDisk(key, lsn, bytes) };
      });
      const slots = await this.#slots.write(stored.map(({ bytes }) => bytes));
      stored.forEach(({ key, lsn, crc, seal }, at) => this.#change(key, { lsn, slot: slots[at] ?? 0, crc, seal }));
      for (const page of removes) this.#change(pageStoreKey(page), 'gone');
      if (this.#changes.size >= this.#flushPages) await this.#flush([]);
    });
  }

  #change(key: Buffer, change: Change): void {
    const text = textOf(key);
    const before = this.#changes.get(text);
    this.#changes.set(text, change);
    // The durable index never named it.
    if (before !== undefined && before !== 'gone') this.#free([before.slot]);
  }

  /**
   * What the last checkpoint left is removed. Invariant: the note of it goes with the removals, never before them: what
   * was dropped would be back, with nobody who knows that it was.
   */
  removalsDone(): Promise<void> {
    return this.#exclusive(() => this.#flush([{ type: 'del', key: REMOVALS_KEY }]));
  }

  /**
   * Makes everything written before it durable, and with it, in one batch, checkpoint, state and which removals are due
   * from now on. Nothing that the log before the checkpoint needs may be removed sooner.
   */
  setCheckpoint({ lsn, epoch }: Checkpoint, state: Buffer, removals: Buffer | undefined): Promise<void> {
    const value = Buffer.alloc(16);
    value.writeBigUInt64BE(lsn, 0);
    value.writeBigUInt64BE(epoch, 8);
    const operations: BatchOperation[] = [
      this.#put(STATE_KEY, state),
      this.#put(CHECKPOINT_KEY, value),
      removals === undefined ? { type: 'del', key: REMOVALS_KEY } : this.#put(REMOVALS_KEY, removals),
    ];
    return this.#exclusive(() => this.#flush(operations));
  }

  /** Makes changes durable, and in the same batch what `operations` do to other keys. */
  async #flush(operations: readonly BatchOperation[], changes = this.#changes): Promise<void> {
    if (changes.size === 0 && operations.length === 0) return;
    // Before the index names them.
    await this.#slots.sync();
    const places = [...changes].map(([text, change]): BatchOperation => {
      const key = Buffer.from(text, 'latin1');
      return change === 'gone' ? { type: 'del', key } : { type: 'put', key, value: sealPlace(key, change) };
    });
    const replaced = await this.#index.write([...places, ...operations], this.#slots.pageBytes);
    changes.clear();
    if (this.#pins > 0) {
      this.#freeOnceUnpinned.push(...replaced);
      return;
    }
    this.#free(replaced);
    await this.#slots.cut();
  }

  #free(slots: readonly number[]): void {
    for (const slot of slots) if (!this.#slots.map.give(slot)) throw new StoredValueError(DIGEST_KEY, `the index named slot ${slot} twice`);
  }

  /** One after another; after one that failed, none. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#turn.exclusive(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        this.#failure = error;
        throw error;
      }
    });
  }

  // Copies ----------------------------------------------------------------------------------------------------------

  /**
   * Everything, as of the call, in key order: keys, and values as other segments take them; a page's is its version
   * (version-value.ts). What is damaged is something that they do not take.
   */
  async *entries(): AsyncGenerator<StoreEntry> {
    this.#pins++;
    try {
      await this.#exclusive(() => this.#flush([]));
      let stretch: StoreEntry[] = [];
      for await (const entry of this.#index.entries()) {
        if (entry.key.equals(DIGEST_KEY)) continue;
        stretch.push(entry);
        if (stretch.length < STRETCH) continue;
        yield* await this.#withPages(stretch);
        stretch = [];
      }
      yield* await this.#withPages(stretch);
    } finally {
      this.#pins--;
      if (this.#pins === 0) {
        const slots = this.#freeOnceUnpinned;
        this.#freeOnceUnpinned = [];
        this.#free(slots);
      }
    }
  }

  async #withPages(entries: readonly StoreEntry[]): Promise<StoreEntry[]> {
    const places = entries.map(({ key, value }) => (key[0] === PAGE_PREFIX ? placeOf(key, value) : undefined));
    const sound = places.filter((place): place is Place => place !== undefined && !(place instanceof StoredValueError));
    const pages = await this.#slots.read(sound.map(({ slot }) => slot));
    let next = 0;
    return entries.map(({ key, value }, at) => {
      const place = places[at];
      if (place === undefined) return { key, value: this.#valueFor(key, value) };
      if (place instanceof StoredValueError) return { key, value };
      return { key, value: this.#versionFor(key, place, pages[next++]) };
    });
  }

  /** A value as others take it; one that is damaged as something that they do not take. */
  #valueFor(key: Buffer, sealed: Buffer): Buffer {
    if (!this.#form.isSealed) return sealed;
    try {
      return sealValue(key, this.#form.valueFromDisk(key, openValue(key, sealed)));
    } catch (error) {
      if (error instanceof StoredValueError || error instanceof KeyUnusableError) return NO_KEY;
      throw error;
    }
  }

  /** The same of a page. */
  #versionFor(key: Buffer, place: Place, stored: Buffer | undefined): Buffer {
    if (!this.#form.isSealed) return versionValue({ ...place, page: stored ?? NO_KEY });
    const page = stored === undefined ? NO_KEY : this.#open(key, place, stored);
    return page instanceof StoredValueError || page.length === 0
      ? NO_KEY
      : versionValue({ lsn: place.lsn, page, crc: versionCrc(key, place.lsn, page) });
  }

  /** Takes entries from another store as it gave them; each must pass its CRC (StoredValueError otherwise). */
  async putRaw(entries: readonly StoreEntry[]): Promise<void> {
    const puts: { page: PageKey; version: PageVersion }[] = [];
    const others: BatchOperation[] = [];
    for (const { key, value } of entries) {
      const opened = openValue(key, value);
      const page = pageOfKey(key);
      const version = page === undefined ? undefined : partsOfVersion(value);
      if (page === undefined) others.push(this.#put(key, opened));
      else if (version === undefined) throw new StoredValueError(key, `${value.length} bytes are no page version`);
      else puts.push({ page, version });
    }
    await this.write(puts);
    if (others.length > 0) await this.#exclusive(() => this.#flush(others));
  }

  // Keeping it sound ------------------------------------------------------------------------------------------------

  /** As scrubValues says (scrub-values.ts). */
  scrubValues(after: Buffer | undefined, bytes: number): Promise<Scrubbed> {
    const parts: ScrubbedParts = {
      keys: (from, before) => this.#index.keys(from, before),
      getMany: (pages) => this.getMany(pages),
      value: (key) => this.#value(key),
      valueKeys: [CHECKPOINT_KEY, STATE_KEY, REMOVALS_KEY],
      pageBytes: this.#slots.pageBytes,
    };
    return scrubValues(parts, after, bytes);
  }

  /** Reads about `bytes` of the index back; gives how many. Throws StoredValueError when it is not what was written. */
  scrubIndex(bytes: number): Promise<number> {
    return this.#turn.exclusive(() => this.#index.scrub(bytes));
  }

  /** On disk, about. */
  async approximateBytes(): Promise<number> {
    return this.#slots.bytes + (await this.#index.approximateBytes());
  }

  async close(): Promise<void> {
    await this.#turn.over();
    await this.#slots.close();
    await this.#index.close();
  }
}
