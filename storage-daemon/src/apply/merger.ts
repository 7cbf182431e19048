import { encodePageKey, encodeVolumeState, type PageId, SLRU_FORK, SLRU_KINDS, SLRU_MAX_PAGE } from '@kube-aurora/redo';
import type { Mark, PageStore, PageVersion } from '../page-store/page-store.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { PageCache } from '../read/page-cache.ts';
import { TooOldError, type PageAt, type PageReader } from '../read/page-reader.ts';
import type { Ingest } from './ingest.ts';
import { covers, type Cut, type DatabaseCopy, type PageCuts } from './page-cuts.ts';
import type { RecordTable } from './record-table.ts';
import type { RedoIndex } from './redo-index.ts';

/**
 * Turns redo into stored pages ("page checkpoint"). When the un-merged redo passes a limit, the state is taken at the next
 * batch end L; once PGMRPL has reached L every page with redo below it is written as of L, then state and mark, and the
 * redo up to L is no longer needed here.
 *
 * Order that makes a crash at any point harmless: copied databases first (they need their source's pages as of the
 * copy), then pages (each version carries its LSN, so redo is never applied twice), then removals, then the mark.
 */

const SLICE_PAGES = 32;

export interface MergeLimits {
  /** Un-merged redo that starts a merge. */
  readonly bytes: number;
  readonly refs: number;
}

export interface MergerParts {
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly cuts: PageCuts;
  readonly store: PageStore;
  readonly cache: PageCache;
  readonly reader: PageReader;
  readonly ingest: Ingest;
  readonly limits: MergeLimits;
  readonly mark: Mark;
  /** Lowest LSN that anyone may still read at. */
  readonly readFloor: () => number;
  /** pageAt, with repair of damaged stored data. */
  readonly pageAt: (page: PageId, lsn: number) => Promise<PageAt>;
  /** After a mark was set. */
  readonly onMerged: (mark: Mark) => Promise<void>;
  readonly onFailure: (error: Error) => void;
}

interface Target {
  readonly lsn: number;
  readonly epoch: bigint;
  readonly state: Buffer;
}

export class Merger {
  readonly #parts: MergerParts;
  #mark: Mark;
  #target: Target | undefined;
  #asked = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  readonly #longChains = new Map<string, PageId>();
  merges = 0;
  pagesWritten = 0;

  constructor(parts: MergerParts) {
    this.#parts = parts;
    this.#mark = parts.mark;
  }

  get mark(): Mark {
    return this.#mark;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** A page's chain grew long: write it in the background. */
  addLongChain(page: PageId): void {
    this.#longChains.set(encodePageKey(page).toString('latin1'), {
      spcOid: page.spcOid,
      dbOid: page.dbOid,
      relNumber: page.relNumber,
      fork: page.fork,
      block: page.block,
    });
  }

  /** Asks for a merge whatever the limits say. */
  request(): void {
    this.#asked = true;
    this.poke();
  }

  /** Looks whether there is something to do; called as ingest and PGMRPL move. */
  poke(): void {
    if (this.#stopped || this.#running !== undefined) return;
    const { ingest, table, limits, index, readFloor } = this.#parts;
    if (
      this.#target === undefined &&
      ingest.onSnapshot === undefined &&
      (this.#asked || this.#unmergedBytes() > limits.bytes || index.refs > limits.refs)
    ) {
      if (ingest.isAtBatchEnd) this.#snapshot(ingest.state, ingest.appliedLsn);
      else if (table.size > 0) ingest.onSnapshot = (state, lsn) => this.#snapshot(state, lsn);
      this.#asked = false;
    }
    const target = this.#target;
    if (target !== undefined && readFloor() >= target.lsn) {
      this.#target = undefined;
      this.#start(() => this.#merge(target));
    } else if (this.#longChains.size > 0) {
      this.#start(() => this.#mergeLongChains());
    }
  }

  #snapshot(state: Ingest['state'], lsn: number): void {
    this.#parts.ingest.onSnapshot = undefined;
    const epoch = this.#parts.log.epochAt(BigInt(lsn));
    if (epoch !== undefined) this.#target = { lsn, epoch, state: encodeVolumeState(state) };
  }

  #unmergedBytes(): number {
    const { table, ingest } = this.#parts;
    if (table.size === 0 || ingest.appliedLsn <= Number(this.#mark.lsn)) return 0;
    return table.position(table.next - 1) - table.position(table.first);
  }

  #start(work: () => Promise<void>): void {
    const failed = (error: unknown): void => {
      if (this.#stopped) return;
      this.#stopped = true;
      this.#parts.onFailure(error instanceof Error ? error : new Error(String(error)));
    };
    this.#running = work()
      .catch(failed)
      .finally(() => {
        this.#running = undefined;
        if (this.#longChains.size > 0 || this.#target !== undefined) setImmediate(() => this.poke());
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #merge(target: Target): Promise<void> {
    const { cuts, index, table, store, log, cache } = this.#parts;
    const limit = table.lowerBound(target.lsn);
    for (const copy of cuts.copies.filter((one) => one.lsn < target.lsn)) await this.#copyDatabase(copy);
    await this.#writePages(index.pagesBelow(limit), target.lsn, limit);
    if (this.#stopped) return;
    for (const cut of cuts.below(target.lsn)) await this.#removeCut(cut);
    const mark = { lsn: BigInt(target.lsn), epoch: target.epoch };
    await store.setMark(mark, target.state);
    this.#mark = mark;
    this.#parts.reader.invalidate();
    // Pages in memory may be as of before a cut that is forgotten now.
    if (cuts.below(target.lsn).length > 0 || cuts.copies.length > 0) cache.clear();
    table.dropBelow(limit);
    cuts.dropBelow(target.lsn);
    this.merges++;
    if (log.failure === undefined) await this.#parts.onMerged(mark);
  }

  /** Writes pages as of `lsn`, and drops their references below `limit`. */
  async #writePages(pages: readonly PageId[], lsn: number, limit: number): Promise<void> {
    const { store } = this.#parts;
    for (let at = 0; at < pages.length && !this.#stopped; at += SLICE_PAGES) {
      const slice = pages.slice(at, at + SLICE_PAGES);
      const puts: { page: PageId; version: PageVersion }[] = [];
      const removes: PageId[] = [];
      const done: PageId[] = [];
      for (const page of slice) {
        const refs = this.#parts.index.refsOf(page);
        if (refs === undefined || Math.floor((refs[0] ?? 0) / 2) >= limit) continue;
        done.push(page);
        try {
          const { page: bytes } = await this.#parts.pageAt(page, lsn);
          if (bytes === undefined) removes.push(page);
          else puts.push({ page, version: { lsn, page: bytes } });
        } catch (error) {
          // A repair stored a newer version meanwhile: it has this redo already.
          if (!(error instanceof TooOldError)) throw error;
        }
      }
      await store.write(puts, removes);
      this.pagesWritten += puts.length;
      for (const page of done) this.#trim(page, lsn, limit);
      await new Promise(setImmediate);
    }
  }

  #trim(page: PageId, lsn: number, limit: number): void {
    const { cache, reader, index } = this.#parts;
    reader.invalidate();
    const key = encodePageKey(page).toString('latin1');
    const cached = cache.get(key);
    if (cached !== undefined && cached.lsn < lsn) cache.delete(key);
    index.trimPage(page, limit);
  }

  async #mergeLongChains(): Promise<void> {
    const { ingest, cuts, table, readFloor } = this.#parts;
    const pages = [...this.#longChains.values()];
    this.#longChains.clear();
    const lsn = Math.min(ingest.appliedLsn, readFloor());
    const mergeable = pages.filter((page) => !cuts.isCopySource(page));
    await this.#writePages(mergeable, lsn, table.lowerBound(lsn));
  }

  async #copyDatabase(copy: DatabaseCopy): Promise<void> {
    const { store, index, table } = this.#parts;
    const { spcOid, dbOid } = copy.from;
    const sources = new Map<string, PageId>();
    const first: PageId = { spcOid, dbOid, relNumber: 0, fork: 0, block: 0 };
    for await (const page of store.pagesBetween(first, { ...first, dbOid: dbOid + 1 }))
      sources.set(encodePageKey(page).toString('latin1'), page);
    for (const page of index.pagesOfDatabase(spcOid, dbOid, table.lowerBound(copy.lsn)))
      sources.set(encodePageKey(page).toString('latin1'), page);
    let puts: { page: PageId; version: PageVersion }[] = [];
    for (const source of sources.values()) {
      if (this.#stopped) return;
      const page = { ...source, spcOid: copy.to.spcOid, dbOid: copy.to.dbOid };
      const existing = await store.get(page);
      if (existing !== undefined && existing.lsn > copy.lsn) continue;
      try {
        const { page: bytes } = await this.#parts.pageAt(source, copy.lsn);
        if (bytes !== undefined) puts.push({ page, version: { lsn: copy.lsn + 1, page: bytes } });
      } catch (error) {
        // The source went on only after this copy was complete, before a crash.
        if (!(error instanceof TooOldError)) throw error;
      }
      if (puts.length >= SLICE_PAGES) {
        await store.write(puts);
        puts = [];
      }
    }
    await store.write(puts);
  }

  /** Removes stored pages that a cut covers and that nothing wrote since. */
  async #removeCut(cut: Cut): Promise<void> {
    const { store } = this.#parts;
    for (const [from, to] of rangesOf(cut)) {
      let removes: PageId[] = [];
      for await (const page of store.pagesBetween(from, to)) {
        if (!covers(cut, page)) continue;
        const version = await store.get(page);
        if (version !== undefined && version.lsn > cut.lsn) continue;
        removes.push(page);
        if (removes.length >= 256) {
          await store.write([], removes);
          removes = [];
        }
      }
      await store.write([], removes);
    }
  }
}

function rangesOf({ effect }: Cut): [PageId, PageId][] {
  switch (effect.kind) {
    case 'drop': {
      const { spcOid, dbOid, relNumber } = effect.relation;
      const from = { spcOid, dbOid, relNumber, fork: 0, block: 0 };
      return [[from, { ...from, relNumber: relNumber + 1 }]];
    }
    case 'drop-database': {
      const from = { spcOid: effect.spcOid, dbOid: effect.dbOid, relNumber: 0, fork: 0, block: 0 };
      return [[from, { ...from, dbOid: effect.dbOid + 1 }]];
    }
    case 'truncate': {
      const { spcOid, dbOid, relNumber, fork } = effect.fork;
      const from = { spcOid, dbOid, relNumber, fork, block: effect.blocks };
      return [[from, { ...from, fork: fork + 1, block: 0 }]];
    }
    case 'slru-truncate': {
      const page = (block: number): PageId => ({ spcOid: 0, dbOid: SLRU_KINDS[effect.slru], relNumber: 0, fork: SLRU_FORK, block });
      const end = SLRU_MAX_PAGE[effect.slru] + 1;
      const from = Math.max(0, effect.fromPage);
      if (from <= effect.beforePage) return [[page(from), page(effect.beforePage)]];
      return [
        [page(from), page(end)],
        [page(0), page(effect.beforePage)],
      ];
    }
  }
}
