import { maxLsn } from '@kube-aurora/pg-format/lsn';
import type { PageKey } from '@kube-aurora/redo-engine';
import type { PageVersion } from '../pages/stored-pages.ts';
import { BUILD_PAGES_MAX, type Built, type PageBuilder } from '../pages/page-builder.ts';
import type { PageSources } from '../pages/page-plan.ts';
import type { PageTurn } from '../pages/page-turn.ts';
import { stepsRoom, type BuildRoom, type Turns } from '../pages/redo-run.ts';
import { windowRoom } from '../redo-log/record-window.ts';
import type { RepairingReader } from '../pages/repairing-reader.ts';
import { refSeq } from '../pages/redo-index.ts';
import type { WorkPace } from './work-pace.ts';

/**
 * Stores pages as of an LSN and drops the references they no longer need, a slice at a time. Whoever changes stored
 * pages and their references does it in here or in its own turn (PageTurn).
 *
 * Invariant: references to a page are dropped only after a version with their redo was written, or when they count for
 * nothing because the page was dropped after them; and never does an older version come after a newer one. What is
 * stored of a dropped page stays: a crash before the next checkpoint has its redo read again, which needs it.
 */

/**
 * Pages and references that are worked on at once: what a slice holds in memory, and what others wait for (some 10 ms, of pages of indexes up to 25). The more they are, the
 * closer together their records stand in the log, which is read once for each slice.
 */
const SLICE_PAGES = Math.min(128, BUILD_PAGES_MAX);
const SLICE_REFS = 32 * 1024;

export interface PageWriterOptions extends PageSources {
  readonly builder: PageBuilder;
  readonly reader: RepairingReader;
  readonly turn: PageTurn;
  readonly turns: Turns;
  readonly pace: WorkPace;
}

/** An LSN that pages are written as of, and the first record at or past it. */
export interface WriteTo {
  readonly lsn: bigint;
  readonly limit: number;
}

type Damaged = Extract<Built, { kind: 'damaged' }>;

export class PageWriter {
  readonly #options: PageWriterOptions;
  stopped = false;
  pagesWritten = 0;
  /** Highest LSN that pages were written as of. */
  writtenTo = 0n;
  /** Of one slice after the other, whose pages are written from it. */
  readonly #room: BuildRoom;

  constructor(options: PageWriterOptions) {
    this.#options = options;
    this.#room = { pages: Buffer.allocUnsafeSlow(SLICE_PAGES * options.engine.pageBytes), log: windowRoom(), steps: stepsRoom() };
  }

  /** Writes pages as of an LSN and drops their references to records before it. `to` is asked when a slice begins. */
  async write(pages: readonly PageKey[], to: () => WriteTo): Promise<void> {
    const { turn, turns, pace } = this.#options;
    const { clock } = turns;
    for (let at = 0; at < pages.length && !this.stopped;) {
      const end = this.#sliceEnd(pages, at);
      const slice = pages.slice(at, end);
      at = end;
      const began = clock.now();
      const damaged = await turn.exclusive(() => this.#writeSlice(slice, to()));
      for (const one of damaged) if (!this.stopped) await this.#repairThenWrite(one, to());
      const restMs = pace.restAfter(clock.now() - began);
      if (restMs > 0) await clock.sleep(restMs);
      else await clock.turn();
    }
  }

  #sliceEnd(pages: readonly PageKey[], from: number): number {
    let refs = 0;
    let end = from;
    while (end < pages.length && end - from < SLICE_PAGES && refs < SLICE_REFS) {
      const page = pages[end++];
      if (page !== undefined) refs += this.#options.index.refsOf(page)?.length ?? 0;
    }
    return end;
  }

  /** Gives the pages that could not be made because what they need is damaged. */
  async #writeSlice(slice: readonly PageKey[], { lsn, limit }: WriteTo): Promise<Damaged[]> {
    const { store, index, builder } = this.#options;
    this.writtenTo = maxLsn(this.writtenTo, lsn);
    const due = slice.filter((page) => {
      const first = index.refsOf(page)?.[0];
      return first !== undefined && refSeq(first) < limit;
    });
    const built = await builder.build(due, lsn, 'store', this.#room);
    const damaged: Damaged[] = [];
    const puts: { page: PageKey; version: PageVersion }[] = [];
    for (const one of built) {
      if (one.kind === 'page') puts.push({ page: one.page, version: { lsn, page: one.bytes } });
      else if (one.kind === 'damaged') damaged.push(one);
    }
    await store.write(puts);
    this.pagesWritten += puts.length;
    builder.invalidate();
    // A newer version has this redo already.
    for (const { kind, page } of built) if (kind !== 'damaged') this.#trim(page, lsn, limit);
    return damaged;
  }

  #trim(page: PageKey, lsn: bigint, limit: number): void {
    const { cache, index } = this.#options;
    const cached = cache.peek(page);
    if (cached !== undefined && cached.lsn < lsn) cache.delete(page);
    index.trimPage(page, limit);
  }

  async #repairThenWrite(one: Damaged, to: WriteTo): Promise<void> {
    const { turn, reader } = this.#options;
    await reader.repair(one, to.lsn);
    const [still] = await turn.exclusive(() => this.#writeSlice([one.page], to));
    if (still !== undefined) throw still.error;
  }
}
