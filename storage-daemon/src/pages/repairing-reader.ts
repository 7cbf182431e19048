import { PAGE_BYTES } from '@kube-aurora/pg-format';
import type { PageId } from '@kube-aurora/redo';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { PageAt, PageBuilder } from './page-builder.ts';
import { TooOldError, type PageSources } from './page-plan.ts';
import type { PageTurn } from './page-turn.ts';
import { StoredValueError } from './stored-value.ts';

/**
 * Reads pages, and has what is damaged replaced by a peer's. For computes and for what is stored here; a peer is answered by the
 * builder itself.
 */

export interface RepairingReaderParts extends Pick<PageSources, 'store' | 'cache' | 'index' | 'table'> {
  readonly builder: PageBuilder;
  readonly turn: PageTurn;
  readonly appliedLsn: () => number;
  /** One page as of the LSN from a peer; undefined: it does not exist. Throws NoSoundCopyError when no peer can. */
  readonly fetchPage: (page: PageId, lsn: number) => Promise<Buffer | undefined>;
  readonly onCorruption: (kind: 'page' | 'log', error: Error) => void;
  readonly onRepair: () => void;
}

/** Pages as of one LSN, in the order asked for. */
export interface PagesAt {
  /** One byte a page: 1 it exists, 0 it does not and its bytes are zeros. */
  readonly present: Buffer;
  readonly pages: Buffer;
}

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export class RepairingReader {
  readonly #parts: RepairingReaderParts;

  constructor(parts: RepairingReaderParts) {
    this.#parts = parts;
  }

  /** A page as of `lsn`. Throws TooOldError, NoSoundCopyError, RedoError. */
  async pageAt(page: PageId, lsn: number): Promise<PageAt> {
    const { builder, onCorruption } = this.#parts;
    try {
      return await builder.pageAt(page, lsn);
    } catch (error) {
      if (!(error instanceof StoredValueError || error instanceof LogReadError)) throw error;
      onCorruption(error instanceof LogReadError ? 'log' : 'page', error);
      // As of this LSN and no later one: a newer version could not answer.
      await this.repairPage(page, lsn);
      return builder.pageAt(page, lsn);
    }
  }

  /**
   * Many pages, in their order. Most have no redo past the checkpoint: their stored versions are fetched together and copied once, into
   * the answer. The rest goes page by page. Throws what `pageAt` throws.
   */
  async pagesAt(ids: readonly PageId[], lsn: number): Promise<PagesAt> {
    const { builder } = this.#parts;
    const present = Buffer.alloc(ids.length);
    const pages = Buffer.allocUnsafe(ids.length * PAGE_BYTES);
    const put = (at: number, page: Buffer | undefined): void => {
      if (page === undefined) pages.fill(0, at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
      else {
        present[at] = 1;
        pages.set(page, at * PAGE_BYTES);
      }
    };
    const readAlone = async (page: PageId, at: number): Promise<void> => put(at, (await this.pageAt(page, lsn)).page);
    const stored: { page: PageId; at: number }[] = [];
    const reads: Promise<unknown>[] = [];
    ids.forEach((page, at) => {
      if (builder.isAsStored(page)) stored.push({ page, at });
      else reads.push(readAlone(page, at));
    });
    const readStored = async (): Promise<void> => {
      const found = await builder.asStored(
        stored.map(({ page }) => page),
        lsn,
      );
      const damaged = stored.filter(({ at }, index) => {
        const page = found[index];
        if (page instanceof StoredValueError) return true;
        put(at, page);
        return false;
      });
      await Promise.all(damaged.map(({ page, at }) => readAlone(page, at)));
    };
    if (stored.length > 0) reads.push(readStored());
    await Promise.all(reads);
    return { present, pages };
  }

  /** Replaces the stored version of a page by a peer's as of `lsn`, at most what is applied here. */
  async repairPage(page: PageId, lsn = this.#parts.appliedLsn()): Promise<void> {
    const { turn, store, builder, cache, index, table, fetchPage, onRepair } = this.#parts;
    const bytes = await fetchPage(page, lsn);
    await turn.exclusive(async () => {
      // A checkpoint may have written a sound and newer one meanwhile.
      if ((await this.#storedLsn(page)) > lsn) return;
      // One that is gone by then gets a version all the same: redo from before it went is read again after a crash, and must be skipped.
      await store.write([{ page, version: { lsn, page: bytes ?? ZERO_PAGE } }]);
      builder.invalidate();
      cache.clear();
      index.trimPage(page, table.lowerBound(lsn));
    });
    onRepair();
  }

  /** Has a page repaired whose stored data cannot be read; not under `exclusive`. */
  async repairIfDamaged(page: PageId, lsn: number): Promise<void> {
    try {
      await this.pageAt(page, lsn);
    } catch (error) {
      // What is stored is newer, and so needs no repair.
      if (!(error instanceof TooOldError)) throw error;
    }
  }

  /** LSN of what is stored of a page; -1 when there is nothing, or nothing sound. */
  async #storedLsn(page: PageId): Promise<number> {
    try {
      return (await this.#parts.store.get(page))?.lsn ?? -1;
    } catch (error) {
      if (error instanceof StoredValueError) return -1;
      throw error;
    }
  }
}
