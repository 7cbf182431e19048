import { ClassicLevel } from 'classic-level';
import { encodePageKey, decodePageKey, PAGE_KEY_BYTES, type PageId } from '@kube-aurora/redo';
import { liveTables } from './live-tables.ts';
import { openValue, roomFor, sealInPlace, sealValue, StoredValueError } from './stored-value.ts';
import { checkTableFile, TableDamageError, tableNames } from './table-check.ts';

/**
 * Page versions and the state they belong to, in LevelDB. One version a page: nothing reads below PGMRPL, so a merge
 * replaces the version before it.
 *
 *   'p' page key (17 bytes)   u64 LSN (big-endian): the page has all redo that ends at or below it; 8192 bytes of page
 *   'm'                       the mark: all pages have at least all redo up to it; u64 LSN, u64 epoch of the batch that ends there
 *   's'                       VolumeState at the mark
 *   'r'                       removals that the mark owes: what was dropped up to it and may still be stored; absent: nothing
 *
 * Writes are not synced: the log makes them again. `setMark` makes everything before it durable, then itself.
 */
const PAGE_PREFIX = 0x70;
const MARK_KEY = Buffer.from('m');
const STATE_KEY = Buffer.from('s');
const REMOVALS_KEY = Buffer.from('r');
const PAGE_BYTES = 8192;
/** Tables that are checked before the store opens; the scrubber gets round to the rest. A disk reads this in seconds. */
const CHECKED_AT_OPEN_BYTES = 2 * 1024 * 1024 * 1024;

export interface PageVersion {
  readonly lsn: number;
  readonly page: Buffer;
}

/** Versions of pages, in the order asked for; a damaged one is its error. */
export type StoredPages = readonly (PageVersion | StoredValueError | undefined)[];

export interface Mark {
  readonly lsn: bigint;
  readonly epoch: bigint;
}

export interface RawEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface PageStoreOptions {
  readonly cacheBytes: number;
  readonly writeBufferBytes: number;
}

export function pageStoreKey(page: PageId): Buffer {
  const key = Buffer.allocUnsafe(1 + PAGE_KEY_BYTES);
  key[0] = PAGE_PREFIX;
  encodePageKey(page).copy(key, 1);
  return key;
}

function sealedVersion(key: Buffer, lsn: number, page: Buffer): Buffer {
  if (page.length !== PAGE_BYTES) throw new RangeError(`a page has ${PAGE_BYTES} bytes, not ${page.length}`);
  const sealed = roomFor(8 + PAGE_BYTES);
  sealed.writeBigUInt64BE(BigInt(lsn), 0);
  page.copy(sealed, 8);
  return sealInPlace(key, sealed);
}

/** Throws StoredValueError. */
function openVersion(key: Buffer, sealed: Buffer): PageVersion {
  const value = openValue(key, sealed);
  if (value.length !== 8 + PAGE_BYTES) throw new StoredValueError(key, `a page version has ${8 + PAGE_BYTES} bytes, not ${value.length}`);
  return { lsn: value.readUInt32BE(0) * 2 ** 32 + value.readUInt32BE(4), page: value.subarray(8) };
}

export class PageStore {
  readonly #db: ClassicLevel<Buffer, Buffer>;
  readonly #directory: string;
  /** The last table that was scrubbed. */
  #scrubbed = '';
  /** A table that failed its check once: LevelDB may have been writing it. */
  #suspect = '';

  private constructor(db: ClassicLevel<Buffer, Buffer>, directory: string) {
    this.#db = db;
    this.#directory = directory;
  }

  /** Throws TableDamageError when a table is damaged: LevelDB itself would lose entries of it without a word. */
  static async open(directory: string, options: PageStoreOptions): Promise<PageStore> {
    let checked = 0;
    const live = new Set(liveTables(directory));
    // A table that the store does not have was being written when the process ended: it is removed as the store opens.
    const names = tableNames(directory).filter((name) => live.has(Number.parseInt(name, 10)));
    for (const name of names.toReversed()) {
      checked += (await checkTableFile(directory, name)) ?? 0;
      if (checked > CHECKED_AT_OPEN_BYTES) break;
    }
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: options.cacheBytes,
      writeBufferSize: options.writeBufferBytes,
    });
    await db.open();
    return new PageStore(db, directory);
  }

  /** The page's version, the caller's own; undefined when there is none. Throws StoredValueError on damage. */
  async get(page: PageId): Promise<PageVersion | undefined> {
    const key = pageStoreKey(page);
    const sealed = await this.#read(key);
    return sealed === undefined ? undefined : openVersion(key, sealed);
  }

  /** The versions of many pages, in their order; a damaged one is its error. Throws StoredValueError when LevelDB finds damage. */
  async getMany(pages: readonly PageId[]): Promise<StoredPages> {
    if (pages.length === 0) return [];
    const keys = pages.map(pageStoreKey);
    let values: (Buffer | undefined)[];
    try {
      values = await this.#db.getMany(keys);
    } catch (error) {
      if (isCorruption(error)) throw new StoredValueError(keys[0] ?? MARK_KEY, `LevelDB: ${error.message}`);
      throw error;
    }
    return values.map((sealed, index) => {
      const key = keys[index] ?? MARK_KEY;
      try {
        return sealed === undefined ? undefined : openVersion(key, sealed);
      } catch (error) {
        if (error instanceof StoredValueError) return error;
        throw error;
      }
    });
  }

  /** LevelDB finds damage of its own blocks too; both are reported as one kind of error. */
  async #read(key: Buffer): Promise<Buffer | undefined> {
    try {
      return await this.#db.get(key);
    } catch (error) {
      if (isCorruption(error)) throw new StoredValueError(key, `LevelDB: ${error.message}`);
      throw error;
    }
  }

  /** Writes versions and removes others, in one batch. */
  async write(puts: readonly { page: PageId; version: PageVersion }[], removes: readonly PageId[] = []): Promise<void> {
    if (puts.length === 0 && removes.length === 0) return;
    await this.#db.batch([
      ...puts.map(({ page, version }) => {
        const key = pageStoreKey(page);
        return { type: 'put' as const, key, value: sealedVersion(key, version.lsn, version.page) };
      }),
      ...removes.map((page) => ({ type: 'del' as const, key: pageStoreKey(page) })),
    ]);
  }

  async mark(): Promise<Mark | undefined> {
    const sealed = await this.#read(MARK_KEY);
    if (sealed === undefined) return undefined;
    const value = openValue(MARK_KEY, sealed);
    return { lsn: value.readBigUInt64BE(0), epoch: value.readBigUInt64BE(8) };
  }

  /** VolumeState at the mark, as encodeVolumeState made it. */
  async state(): Promise<Buffer | undefined> {
    const sealed = await this.#read(STATE_KEY);
    return sealed === undefined ? undefined : openValue(STATE_KEY, sealed);
  }

  /** The removals that the last mark owes, as they were given to `setMark`; undefined when all are done. */
  async removals(): Promise<Buffer | undefined> {
    const sealed = await this.#read(REMOVALS_KEY);
    return sealed === undefined ? undefined : openValue(REMOVALS_KEY, sealed);
  }

  /** What the last mark owed is removed. */
  async removalsDone(): Promise<void> {
    await this.#db.batch([{ type: 'del', key: REMOVALS_KEY }]);
  }

  /**
   * Makes every write before it durable (LevelDB flushes its write buffer before it compacts a range), then mark and state, and with them, in
   * one batch, which removals are owed from now on. Nothing that the log before the mark needs may be removed sooner.
   */
  async setMark(mark: Mark, state: Buffer, removals: Buffer | undefined): Promise<void> {
    await this.#db.compactRange(MARK_KEY, MARK_KEY);
    const value = Buffer.alloc(16);
    value.writeBigUInt64BE(mark.lsn, 0);
    value.writeBigUInt64BE(mark.epoch, 8);
    await this.#db.batch(
      [
        { type: 'put', key: STATE_KEY, value: sealValue(STATE_KEY, state) },
        { type: 'put', key: MARK_KEY, value: sealValue(MARK_KEY, value) },
        removals === undefined
          ? { type: 'del', key: REMOVALS_KEY }
          : { type: 'put', key: REMOVALS_KEY, value: sealValue(REMOVALS_KEY, removals) },
      ],
      { sync: true },
    );
  }

  /** Stored pages between two pages (inclusive, exclusive), in key order. */
  async *pagesBetween(from: PageId, to: PageId): AsyncGenerator<PageId> {
    for await (const key of this.#db.keys({ gte: pageStoreKey(from), lt: pageStoreKey(to) })) yield decodePageKey(key.subarray(1));
  }

  /** Everything as stored, as of the call, in key order, from past `after` on. CRCs are not checked. */
  async *entries(after?: Buffer): AsyncGenerator<RawEntry> {
    const iterator = this.#db.iterator(after === undefined ? {} : { gt: after });
    try {
      for await (const [key, value] of iterator) yield { key, value };
    } catch (error) {
      if (isCorruption(error)) throw new StoredValueError(Buffer.alloc(0), `LevelDB: ${error.message}`);
      throw error;
    }
  }

  /**
   * Checks about `bytes` of tables from where the last call stopped, at least one, and gives how many bytes. Throws
   * StoredValueError when a table fails twice.
   */
  async scrubTables(bytes: number): Promise<number> {
    let done = 0;
    const names = tableNames(this.#directory);
    const later = names.filter((name) => name > this.#scrubbed);
    for (const name of later.length === 0 ? names : later) {
      try {
        done += (await checkTableFile(this.#directory, name)) ?? 0;
        if (this.#suspect === name) this.#suspect = '';
      } catch (error) {
        if (!(error instanceof TableDamageError)) throw error;
        // It is being written, which may take long on a busy machine.
        if (!this.#isLive(name)) {
          this.#scrubbed = name;
          continue;
        }
        if (this.#suspect === name) throw new StoredValueError(Buffer.alloc(0), `LevelDB: ${error.message}`);
        this.#suspect = name;
        return done;
      }
      this.#scrubbed = name;
      if (done >= bytes) break;
    }
    return done;
  }

  /** Is a table part of the store? True when that cannot be told: the manifest is being written too. */
  #isLive(name: string): boolean {
    try {
      return liveTables(this.#directory).includes(Number.parseInt(name, 10));
    } catch (error) {
      if (error instanceof TableDamageError) return true;
      throw error;
    }
  }

  /** Takes entries from another store as they are; each must pass its CRC (StoredValueError otherwise). */
  async putRaw(entries: readonly RawEntry[]): Promise<void> {
    for (const { key, value } of entries) openValue(key, value);
    await this.#db.batch(entries.map(({ key, value }) => ({ type: 'put', key, value })));
  }

  async approximateBytes(): Promise<number> {
    return this.#db.approximateSize(Buffer.from([0]), Buffer.from([0xff]));
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}

/** The page that a raw key names; undefined for the mark and the state. */
export function pageOfKey(key: Buffer): PageId | undefined {
  return key[0] === PAGE_PREFIX ? decodePageKey(key.subarray(1)) : undefined;
}

function isCorruption(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const { code } = error as Error & { code?: unknown };
  return code === 'LEVEL_CORRUPTION' || /corrupt|checksum/i.test(error.message);
}
