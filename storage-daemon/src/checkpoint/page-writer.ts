import { pageKeyText, type PageId } from '@kube-aurora/redo';
import type { PageVersion } from '../pages/page-store.ts';
import { BUILD_PAGES_MAX, type Built, type PageBuilder } from '../pages/page-builder.ts';
import { TooOldError, type PageSources } from '../pages/page-plan.ts';
import type { PageTurn } from '../pages/page-turn.ts';
import type { Turns } from '../pages/redo-run.ts';
import type { RepairingReader } from '../pages/repairing-reader.ts';
import { refSeq } from '../pages/redo-index.ts';

/**
 * Stores pages as of an LSN and drops the references they no longer need, a slice at a time. Whoever changes stored pages and their
 * references does it in here or in its own turn (PageTurn).
 *
 * Invariant: references to a page are dropped only after a version with their redo was written, or when they count for nothing because
 * the page was dropped after them; and never does an older version come after a newer one. What is stored of a dropped page stays: a crash
 * before the next checkpoint has its redo read again, which needs it.
 */

/** Pages and references that are worked on at once: what a slice holds in memory, and what others wait for. */
const SLICE_PAGES = Math.min(64, BUILD_PAGES_MAX);
const SLICE_REFS = 4096;

export interface PageWriterParts extends PageSources {
  readonly builder: PageBuilder;
  readonly reader: RepairingReader;
  readonly turn: PageTurn;
  readonly turns: Turns;
}

/** An LSN that pages are written as of, and the first record at or past it. */
export interface WriteTo {
  readonly lsn: number;
  readonly limit: number;
}

export class PageWriter {
  readonly #parts: PageWriterParts;
  stopped = false;
  pagesWritten = 0;
  /** Highest LSN that pages were written as of. */
  writtenTo = 0;

  constructor(parts: PageWriterParts) {
    this.#parts = parts;
  }

  /** Writes pages as of an LSN and drops their references to records before it. `to` is asked when a slice begins. */
  async write(pages: readonly PageId[], to: () => WriteTo): Promise<void> {
    for (let at = 0; at < pages.length && !this.stopped;) {
      const end = this.#sliceEnd(pages, at);
      const slice = pages.slice(at, end);
      at = end;
      const apart = await this.#parts.turn.exclusive(() => this.#writeSlice(slice, to()));
      for (const page of apart) if (!this.stopped) await this.#writeApart(page, to());
      await this.#parts.turns.clock.turn();
    }
  }

  #sliceEnd(pages: readonly PageId[], from: number): number {
    let refs = 0;
    let end = from;
    while (end < pages.length && end - from < SLICE_PAGES && refs < SLICE_REFS) {
      const page = pages[end++];
      if (page !== undefined) refs += this.#parts.index.refsOf(page)?.length ?? 0;
    }
    return end;
  }

  /** Gives the pages that have to be read apart. */
  async #writeSlice(slice: readonly PageId[], to: WriteTo): Promise<PageId[]> {
    const { store, index, builder, turns } = this.#parts;
    const { lsn, limit } = to;
    this.writtenTo = Math.max(this.writtenTo, lsn);
    const due = slice.filter((page) => {
      const first = index.refsOf(page)?.[0];
      return first !== undefined && refSeq(first) < limit;
    });
    const built = await builder.build(due, lsn, turns);
    const apart: PageId[] = [];
    const puts: { page: PageId; version: PageVersion }[] = [];
    for (const one of built) {
      if (one.kind === 'page') puts.push({ page: one.page, version: { lsn, page: one.bytes } });
      else if (one.kind === 'apart') apart.push(one.page);
    }
    await store.write(puts);
    this.pagesWritten += puts.length;
    this.#forget(built, lsn, limit);
    return apart;
  }

  #forget(part: readonly Built[], lsn: number, limit: number): void {
    this.#parts.builder.invalidate();
    for (const { kind, page } of part) if (kind !== 'apart') this.#trim(page, lsn, limit);
  }

  #trim(page: PageId, lsn: number, limit: number): void {
    const { cache, index } = this.#parts;
    const key = pageKeyText(page);
    const cached = cache.peek(key);
    if (cached !== undefined && cached.lsn < lsn) cache.delete(key);
    index.trimPage(page, limit);
  }

  async #writeApart(page: PageId, { lsn, limit }: WriteTo): Promise<void> {
    const { turn, store, index, builder, reader } = this.#parts;
    await reader.repairIfDamaged(page, lsn);
    await turn.exclusive(async () => {
      if (refSeq(index.refsOf(page)?.[0] ?? Infinity) >= limit) return;
      try {
        const { page: bytes } = await builder.pageAt(page, lsn);
        if (bytes !== undefined) {
          await store.write([{ page, version: { lsn, page: bytes } }]);
          this.pagesWritten++;
        }
      } catch (error) {
        // A newer version has this redo already.
        if (!(error instanceof TooOldError)) throw error;
      }
      builder.invalidate();
      this.#trim(page, lsn, limit);
    });
  }
}
