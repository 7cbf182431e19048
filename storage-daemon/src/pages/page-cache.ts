import { keyText, type PageKey } from '@kube-aurora/redo-engine';

/** Pages as of an LSN, newest used last, bounded in bytes: a hot page costs only the redo since it was last read. */
export interface CachedPage {
  readonly lsn: bigint;
  readonly page: Buffer;
}

/** What an entry takes beside its page. */
const ENTRY_BYTES = 200;

export class PageCache {
  readonly #entryBytes: number;
  readonly #limit: number;
  readonly #pages = new Map<string, CachedPage>();
  hits = 0;
  misses = 0;

  constructor(limitBytes: number, pageBytes: number) {
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

  /** Takes the buffer over. */
  put(page: PageKey, lsn: bigint, bytes: Buffer): void {
    const key = keyText(page);
    this.#pages.delete(key);
    this.#pages.set(key, { lsn, page: bytes });
    if (this.#pages.size <= this.#limit) return;
    const oldest = this.#pages.keys().next();
    if (oldest.done !== true) this.#pages.delete(oldest.value);
  }

  delete(page: PageKey): void {
    this.#pages.delete(keyText(page));
  }

  /** Forgets pages that have redo past `lsn`. */
  deletePast(lsn: bigint): void {
    for (const [key, entry] of this.#pages) if (entry.lsn > lsn) this.#pages.delete(key);
  }

  clear(): void {
    this.#pages.clear();
  }
}
