import { decodeRecord, type Lsn } from '@kube-aurora/pg-format';
import { redo, touchedPages, type PageId } from '@kube-aurora/redo';
import { baseOf, needsStored, planPage, TooOldError, touchedOf, type PagePlan, type PageSources } from './page-plan.ts';
import type { StoredPages } from './page-store.ts';
import { PAGE_SLOTS, RedoRun, type PageDraft, type Turns } from './redo-run.ts';
import { refSeq } from './redo-index.ts';
import { StoredValueError } from './stored-value.ts';

/**
 * Makes pages as of an LSN: one for a read, with what it made kept in memory; many for a checkpoint; neighbours that have no redo.
 * All by one plan (page-plan.ts). What is damaged is reported, never repaired here: two damaged copies must not ask each other in circles.
 */

export interface PageAt {
  /** Undefined: it does not exist at that LSN. The caller owns the buffer. */
  readonly page: Buffer | undefined;
  /** How many records were applied to get it. */
  readonly applied: number;
}

export type Built =
  | { readonly kind: 'page'; readonly page: PageId; readonly bytes: Buffer }
  /** It does not exist at that LSN; what may be stored of it is from before it was dropped. */
  | { readonly kind: 'none'; readonly page: PageId }
  /** The stored version is newer. */
  | { readonly kind: 'newer'; readonly page: PageId }
  /** To be asked for with `pageAt`: a page of a database that was copied, or one whose data is damaged. */
  | { readonly kind: 'apart'; readonly page: PageId };

/** At most so many pages at once. */
export const BUILD_PAGES_MAX = PAGE_SLOTS;

export class PageBuilder {
  readonly #from: PageSources;
  /** Moves whenever references are dropped, so that a read that was waiting does not cache what it began with. */
  #generation = 0;
  recordsApplied = 0;

  constructor(sources: PageSources) {
    this.#from = sources;
  }

  /** Must be told before references are dropped or annulled. */
  invalidate(): void {
    this.#generation++;
  }

  /** One page. Throws TooOldError, StoredValueError, LogReadError, RedoError. */
  async pageAt(page: PageId, lsn: number): Promise<PageAt> {
    const { tombstones, store } = this.#from;
    const generation = this.#generation;
    const later = tombstones.lastTombstone(page, this.#from.writtenTo());
    if (later >= lsn) throw new TooOldError(page, lsn, later);
    const plan = planPage(this.#from, page, lsn, true);
    if (plan.cached !== undefined) return this.#fromCache(plan, plan.cached);
    // Taken before the store is asked: a checkpoint in between makes the version newer, and the references it has are skipped.
    const records = this.#pin(plan.refs);
    if (!needsStored(plan)) return this.#finish(plan, undefined, records, plan.floor, generation);
    const base = baseOf(plan, await store.get(page));
    if (base.kind === 'newer') throw new TooOldError(page, lsn, base.lsn);
    if (base.kind === 'version') return this.#finish(plan, base.version.page, records, base.version.lsn, generation);
    return this.#finish(plan, await this.#copied(plan), records, plan.floor, generation);
  }

  /** Many pages, with one pass over the log; not kept in memory. At most BUILD_PAGES_MAX. Throws RedoError. */
  async build(pages: readonly PageId[], lsn: number, turns: Turns): Promise<Built[]> {
    if (pages.length > PAGE_SLOTS) throw new RangeError(`${pages.length} pages at once are more than ${PAGE_SLOTS}`);
    const drafts = pages.map((page) => draftOf(planPage(this.#from, page, lsn, false)));
    const run = new RedoRun(this.#from, drafts);
    await this.#readBases(drafts);
    await run.apply(this.#from.log.reader, drafts, turns);
    return drafts.map(builtOf);
  }

  /** Is the page as stored: with no redo, and nothing dropped or copied, past the checkpoint? */
  isAsStored(page: PageId): boolean {
    const { index, tombstones } = this.#from;
    return index.refsOf(page) === undefined && tombstones.hasNone(page);
  }

  /**
   * Pages that are as stored (`isAsStored`), fetched together: each one's bytes, undefined when it does not exist, or the error of what is
   * damaged. Throws TooOldError.
   */
  async asStored(pages: readonly PageId[], lsn: number): Promise<(Buffer | StoredValueError | undefined)[]> {
    const versions = await this.#versions(pages);
    return pages.map((page, at) => {
      const version = versions[at];
      if (version instanceof StoredValueError) return version;
      const base = baseOf({ floor: -1, lsn }, version);
      if (base.kind === 'newer') throw new TooOldError(page, lsn, base.lsn);
      return this.#kept(page, base.kind === 'version' ? base.version.page : undefined, lsn);
    });
  }

  /** What is stored of many pages. Where the store itself is damaged, and cannot say which of them, all are. */
  async #versions(pages: readonly PageId[]): Promise<StoredPages> {
    try {
      return await this.#from.store.getMany(pages);
    } catch (error) {
      if (error instanceof StoredValueError) return pages.map(() => error);
      throw error;
    }
  }

  /** Of what is removed below the checkpoint nothing is left to tell what it was before. Throws TooOldError. */
  #kept(page: PageId, bytes: Buffer | undefined, lsn: number): Buffer | undefined {
    if (bytes === undefined && lsn < this.#from.keptFrom()) throw new TooOldError(page, lsn, this.#from.keptFrom());
    return bytes;
  }

  /** A page of a copied database that was not stored since is what its source was. */
  async #copied({ page, copy }: PagePlan): Promise<Buffer | undefined> {
    if (copy === undefined) return undefined;
    return (await this.pageAt({ ...page, spcOid: copy.from.spcOid, dbOid: copy.from.dbOid }, copy.lsn)).page;
  }

  #fromCache({ page, key, lsn, refs }: PagePlan, cached: NonNullable<PagePlan['cached']>): PageAt {
    try {
      for (const record of this.#pin(refs)) this.#applyOne(cached.page, page, record);
    } catch (error) {
      this.#from.cache.delete(key);
      throw error;
    }
    cached.lsn = lsn;
    return { page: Buffer.from(cached.page), applied: refs.length };
  }

  /** Record numbers mean nothing once the table has moved on, so what they stand for is taken before any wait. */
  #pin(refs: readonly number[]): PinnedRecord[] {
    const { table } = this.#from;
    return refs.map((ref) => {
      const seq = refSeq(ref);
      return { lsn: table.lsn(seq), position: table.position(seq), bytes: table.recordBytes(seq) };
    });
  }

  #finish(plan: PagePlan, base: Buffer | undefined, records: PinnedRecord[], baseLsn: number, generation: number): PageAt {
    const { page, key, lsn } = plan;
    let current = base;
    let applied = 0;
    for (const record of records) {
      if (record.lsn < baseLsn) continue;
      current = this.#applyOne(current, page, record);
      applied++;
    }
    this.#kept(page, current, lsn);
    if (current !== undefined && applied > 0 && generation === this.#generation) this.#from.cache.put(key, lsn, Buffer.from(current));
    return { page: current, applied };
  }

  #applyOne(current: Buffer | undefined, page: PageId, at: PinnedRecord): Buffer {
    const lsn = BigInt(at.lsn) as Lsn;
    const record = decodeRecord(this.#from.log.reader.record(at.position, at.bytes, lsn), lsn);
    this.recordsApplied++;
    return redo(current, record, touchedOf(touchedPages(record, true), page, record));
  }

  /** Fetches the stored versions of those that need one. */
  async #readBases(drafts: readonly PageDraft[]): Promise<void> {
    const wanting = drafts.filter((draft) => draft.outcome === 'built' && needsStored(draft.plan));
    const versions = await this.#versions(wanting.map(({ plan }) => plan.page));
    wanting.forEach((draft, at) => {
      const version = versions[at];
      if (version instanceof StoredValueError) {
        draft.outcome = 'apart';
        return;
      }
      const base = baseOf(draft.plan, version);
      if (base.kind === 'newer') draft.outcome = 'newer';
      else if (base.kind === 'version') {
        draft.bytes = base.version.page;
        draft.baseLsn = base.version.lsn;
      }
    });
  }
}

interface PinnedRecord {
  readonly lsn: number;
  readonly position: number;
  readonly bytes: number;
}

function draftOf(plan: PagePlan): PageDraft {
  const { cached, floor, copy } = plan;
  if (copy !== undefined) return { plan: { ...plan, refs: [] }, bytes: undefined, baseLsn: floor, outcome: 'apart' };
  return { plan, bytes: cached && Buffer.from(cached.page), baseLsn: cached?.lsn ?? floor, outcome: 'built' };
}

function builtOf({ plan: { page }, outcome, bytes }: PageDraft): Built {
  if (outcome !== 'built') return { kind: outcome, page };
  return bytes === undefined ? { kind: 'none', page } : { kind: 'page', page, bytes };
}
