import { keyText, type PageKey } from '@kube-aurora/redo-engine';

export interface CachedPage {
  readonly lsn: bigint;
  /** The cache's own: to be copied before anything else is put into it, so before any wait. */
  readonly page: Buffer;
}

/** What an entry takes beside its page. */
const ENTRY_BYTES = 200;
/** Memory is had for so many pages at a time. */
const PAGES_AT_ONCE = 16;

/**
 * Pages as of an LSN, newest used last, bounded in bytes: a hot page costs only the redo since it was last read. They stand in memory of the cache's own, which
 * is used again: a scan puts thousands of pages here, which V8 would have to collect.
 */
export class PageCache {
  readonly #pageBytes: number;
  readonly #entryBytes: number;
  readonly #limit: number;
  readonly #pages = new Map<string, CachedPage>();
  /** Memory for a page each, which no entry has. */
  #free: Buffer[] = [];
  hits = 0;
  misses = 0;

  constructor(limitBytes: number, pageBytes: number) {
    this.#pageBytes = pageBytes;
    this.#entryBytes = pageBytes + ENTRY_BYTES;
    this.#limit = Math.max(1, Math.floor(limitBytes / this.#entryBytes));
  }

  get bytes(): number {
    return this.#pages.size * this.#entryBytes;
  }

  get(page: PageKey): CachedPage | undefined {
    if (this.#pages.size === 0) {
      this.misses++;
      return undefined;
    }
    const key = keyText(page);
    const entry = this.#pages.get(key);
    if (entry === undefined) {
      this.misses++;
      return undefined;
    }
    this.hits++;
    this.#pages.delete(key);
    this.#pages.set(key, entry);
    return entry;
  }

  /** Looks without counting as a use. */
  peek(page: PageKey): CachedPage | undefined {
    return this.#pages.size === 0 ? undefined : this.#pages.get(keyText(page));
  }

  /** Copies it. */
  put(page: PageKey, lsn: bigint, bytes: Buffer): void {
    const key = keyText(page);
    this.#forget(key);
    if (this.#pages.size >= this.#limit) {
      const oldest = this.#pages.keys().next();
      if (oldest.done !== true) this.#forget(oldest.value);
    }
    const own = this.#memory();
    bytes.copy(own);
    this.#pages.set(key, { lsn, page: own });
  }

  #memory(): Buffer {
    const size = this.#pageBytes;
    if (this.#free.length === 0) {
      const count = Math.min(PAGES_AT_ONCE, this.#limit - this.#pages.size);
      const more = Buffer.allocUnsafeSlow(count * size);
      for (let at = 0; at < count; at++) this.#free.push(more.subarray(at * size, (at + 1) * size));
    }
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  #forget(key: string): void {
    const entry = this.#pages.get(key);
    if (entry === undefined) return;
    this.#pages.delete(key);
    this.#free.push(entry.page);
  }

  delete(page: PageKey): void {
    this.#forget(keyText(page));
  }

  /** Forgets pages that have redo past `lsn`. */
  deletePast(lsn: bigint): void {
    for (const [key, entry] of this.#pages) if (entry.lsn > lsn) this.#forget(key);
  }

  /** Gives the memory back, too. */
  clear(): void {
    this.#pages.clear();
    this.#free = [];
  }
}
