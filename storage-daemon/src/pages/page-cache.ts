import { PAGE_BYTES } from '@kube-aurora/pg-format';

/** Pages as of an LSN, newest used last, bounded in bytes: a hot page costs only the redo since it was last read. */
export interface CachedPage {
  lsn: number;
  readonly page: Buffer;
}

const ENTRY_BYTES = PAGE_BYTES + 200;

export class PageCache {
  readonly #limit: number;
  readonly #pages = new Map<string, CachedPage>();
  hits = 0;
  misses = 0;

  constructor(limitBytes: number) {
    this.#limit = Math.max(1, Math.floor(limitBytes / ENTRY_BYTES));
  }

  get bytes(): number {
    return this.#pages.size * ENTRY_BYTES;
  }

  get(key: string): CachedPage | undefined {
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
  peek(key: string): CachedPage | undefined {
    return this.#pages.get(key);
  }

  /** Takes the buffer over. */
  put(key: string, lsn: number, page: Buffer): void {
    this.#pages.delete(key);
    this.#pages.set(key, { lsn, page });
    if (this.#pages.size <= this.#limit) return;
    const oldest = this.#pages.keys().next();
    if (oldest.done !== true) this.#pages.delete(oldest.value);
  }

  delete(key: string): void {
    this.#pages.delete(key);
  }

  /** Forgets pages that have redo past `lsn`. */
  deletePast(lsn: number): void {
    for (const [key, entry] of this.#pages) if (entry.lsn > lsn) this.#pages.delete(key);
  }

  clear(): void {
    this.#pages.clear();
  }
}
