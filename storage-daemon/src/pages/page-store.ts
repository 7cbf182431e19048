import type { Disk } from '../disk/disk.ts';
import { StoreDamageError, type KeyedStore, type KeyedStoreOptions, type StoreEntry } from '../disk/keyed-store.ts';
import { decodeKey, encodeKey, spaceBytes, type PageKey } from '@kube-aurora/redo-engine';
import { openValue, roomFor, sealInPlace, sealValue, StoredValueError } from './stored-value.ts';

/**
 * Page versions and the state they belong to, by key. One version a page: nothing reads below PGMRPL, so a checkpoint
 * replaces the version before it.
 *
 *   'p' page key              u64 LSN (big-endian): the page has all redo that ends at or below it; the page
 *   'm'                       the checkpoint: all pages have at least all redo up to it; u64 LSN, u64 epoch of the batch that ends there
 *   's'                       the engine's state at the checkpoint
 *   'r'                       removals that the checkpoint left: what was dropped up to it and may still be stored; absent: nothing
 *
 * Writes are not synced: the log makes them again. `setCheckpoint` makes everything before it durable, then itself.
 */
const PAGE_PREFIX = 0x70;
const CHECKPOINT_KEY = Buffer.from('m');
const STATE_KEY = Buffer.from('s');
const REMOVALS_KEY = Buffer.from('r');
const NO_KEY = Buffer.alloc(0);
const VERSION_LSN_BYTES = 8;
const BLOCK_MAX = 0xffff_ffff;

export interface PageVersion {
  readonly lsn: number;
  readonly page: Buffer;
}

/** Versions of pages, in the order asked for; a damaged one is its error. */
export type StoredPages = readonly (PageVersion | StoredValueError | undefined)[];

export interface Checkpoint {
  readonly lsn: bigint;
  readonly epoch: bigint;
}

export function pageStoreKey(page: PageKey): Buffer {
  const key = encodeKey(page, 1);
  key[0] = PAGE_PREFIX;
  return key;
}

/** The first key of spaces that begin so. */
function firstKeyOf(spaces: string): Buffer {
  return Buffer.concat([Buffer.from([PAGE_PREFIX]), spaceBytes(spaces)]);
}

/**
 * The first key after those of spaces that begin so: its last byte that can be counted up is, and what follows goes.
 */
function keyAfter(spaces: string): Buffer {
  const key = firstKeyOf(spaces);
  let last = key.length - 1;
  while (key[last] === 0xff) last--;
  key.writeUInt8(key.readUInt8(last) + 1, last);
  return key.subarray(0, last + 1);
}

function sealedVersion(key: Buffer, lsn: number, page: Buffer): Buffer {
  const sealed = roomFor(VERSION_LSN_BYTES + page.length);
  sealed.writeBigUInt64BE(BigInt(lsn), 0);
  page.copy(sealed, VERSION_LSN_BYTES);
  return sealInPlace(key, sealed);
}

/** Throws StoredValueError. */
function openVersion(key: Buffer, sealed: Buffer): PageVersion {
  const value = openValue(key, sealed);
  if (value.length <= VERSION_LSN_BYTES) throw new StoredValueError(key, `${value.length} bytes are no page version`);
  return { lsn: value.readUInt32BE(0) * 2 ** 32 + value.readUInt32BE(4), page: value.subarray(VERSION_LSN_BYTES) };
}

export class PageStore {
  readonly #store: KeyedStore;

  private constructor(store: KeyedStore) {
    this.#store = store;
  }

  /** Throws what the disk's openStore throws. */
  static async open(disk: Disk, directory: string, options: KeyedStoreOptions): Promise<PageStore> {
    return new PageStore(await disk.openStore(directory, options));
  }

  /** The page's version, the caller's own; undefined when there is none. Throws StoredValueError on damage. */
  async get(page: PageKey): Promise<PageVersion | undefined> {
    const key = pageStoreKey(page);
    const sealed = await this.#read(key);
    return sealed === undefined ? undefined : openVersion(key, sealed);
  }

  /**
   * The versions of many pages, in their order; a damaged one is its error. Throws StoredValueError when LevelDB finds
   * damage.
   */
  async getMany(pages: readonly PageKey[]): Promise<StoredPages> {
    if (pages.length === 0) return [];
    const keys = pages.map(pageStoreKey);
    const values = await damageOf(keys[0] ?? CHECKPOINT_KEY, () => this.#store.getMany(keys));
    return values.map((sealed, index) => {
      const key = keys[index] ?? CHECKPOINT_KEY;
      try {
        return sealed === undefined ? undefined : openVersion(key, sealed);
      } catch (error) {
        if (error instanceof StoredValueError) return error;
        throw error;
      }
    });
  }

  /** The store finds damage of its own files too; both are reported as one kind of error. */
  #read(key: Buffer): Promise<Buffer | undefined> {
    return damageOf(key, () => this.#store.get(key));
  }

  /** Writes versions and removes others, in one batch. */
  async write(puts: readonly { page: PageKey; version: PageVersion }[], removes: readonly PageKey[] = []): Promise<void> {
    if (puts.length === 0 && removes.length === 0) return;
    await this.#store.batch([
      ...puts.map(({ page, version }) => {
        const key = pageStoreKey(page);
        return { type: 'put' as const, key, value: sealedVersion(key, version.lsn, version.page) };
      }),
      ...removes.map((page) => ({ type: 'del' as const, key: pageStoreKey(page) })),
    ]);
  }

  async checkpoint(): Promise<Checkpoint | undefined> {
    const sealed = await this.#read(CHECKPOINT_KEY);
    if (sealed === undefined) return undefined;
    const value = openValue(CHECKPOINT_KEY, sealed);
    return { lsn: value.readBigUInt64BE(0), epoch: value.readBigUInt64BE(8) };
  }

  /** The engine's state at the checkpoint, as its engine encoded it. */
  async state(): Promise<Buffer | undefined> {
    const sealed = await this.#read(STATE_KEY);
    return sealed === undefined ? undefined : openValue(STATE_KEY, sealed);
  }

  /** The removals that the last checkpoint left, as they were given to `setCheckpoint`; undefined when all are done. */
  async removals(): Promise<Buffer | undefined> {
    const sealed = await this.#read(REMOVALS_KEY);
    return sealed === undefined ? undefined : openValue(REMOVALS_KEY, sealed);
  }

  /**
   * What the last checkpoint left is removed. Invariant: the note of it goes only once the removals are durable. The
   * store may keep the later of two batches and lose the earlier one, and what was dropped would be back with nobody
   * who knows that it was.
   */
  async removalsDone(): Promise<void> {
    await this.#store.makeDurable();
    await this.#store.batch([{ type: 'del', key: REMOVALS_KEY }]);
  }

  /**
   * Makes every write before it durable, then checkpoint and state, and with them, in
   * one batch, which removals are due from now on. Nothing that the log before the checkpoint needs may be removed
   * sooner.
   */
  async setCheckpoint(checkpoint: Checkpoint, state: Buffer, removals: Buffer | undefined): Promise<void> {
    await this.#store.makeDurable();
    const value = Buffer.alloc(16);
    value.writeBigUInt64BE(checkpoint.lsn, 0);
    value.writeBigUInt64BE(checkpoint.epoch, 8);
    await this.#store.batch(
      [
        { type: 'put', key: STATE_KEY, value: sealValue(STATE_KEY, state) },
        { type: 'put', key: CHECKPOINT_KEY, value: sealValue(CHECKPOINT_KEY, value) },
        removals === undefined
          ? { type: 'del', key: REMOVALS_KEY }
          : { type: 'put', key: REMOVALS_KEY, value: sealValue(REMOVALS_KEY, removals) },
      ],
      { sync: true },
    );
  }

  /** Stored pages of the spaces that begin with `spaces`, in key order. */
  async *pagesOfSpaces(spaces: string): AsyncGenerator<PageKey> {
    for await (const key of this.#store.keys(firstKeyOf(spaces), keyAfter(spaces))) yield decodeKey(key.subarray(1));
  }

  /** Stored pages of one space, from block `from` up to, not including, `before`. */
  async *pagesOfBlocks(space: string, from: number, before: number): AsyncGenerator<PageKey> {
    const end = before > BLOCK_MAX ? keyAfter(space) : pageStoreKey({ space, block: before });
    for await (const key of this.#store.keys(pageStoreKey({ space, block: from }), end)) yield decodeKey(key.subarray(1));
  }

  /** Everything as stored, as of the call, in key order, from past `after` on. CRCs are not checked. */
  async *entries(after?: Buffer): AsyncGenerator<StoreEntry> {
    try {
      yield* this.#store.entries(after);
    } catch (error) {
      throw asStoredValueError(NO_KEY, error);
    }
  }

  /** Reads about `bytes` of the store's own files back; gives how many bytes. Throws StoredValueError. */
  scrubFiles(bytes: number): Promise<number> {
    return damageOf(NO_KEY, () => this.#store.checkFiles(bytes));
  }

  /** Takes entries from another store as they are; each must pass its CRC (StoredValueError otherwise). */
  async putRaw(entries: readonly StoreEntry[]): Promise<void> {
    for (const { key, value } of entries) openValue(key, value);
    await this.#store.batch(entries.map(({ key, value }) => ({ type: 'put', key, value })));
  }

  approximateBytes(): Promise<number> {
    return this.#store.approximateBytes();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** The page that a raw key names; undefined for the checkpoint and the state. */
export function pageOfKey(key: Buffer): PageKey | undefined {
  return key[0] === PAGE_PREFIX ? decodeKey(key.subarray(1)) : undefined;
}

async function damageOf<T>(key: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asStoredValueError(key, error);
  }
}

function asStoredValueError(key: Buffer, error: unknown): unknown {
  return error instanceof StoreDamageError ? new StoredValueError(key, error.message) : error;
}
