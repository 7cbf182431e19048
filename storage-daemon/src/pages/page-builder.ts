import type { PageKey } from '@kube-aurora/redo-engine';
import { LogGoneError, type LogReadError } from '../redo-log/log-errors.ts';
import { baseOf, needsStored, planPage, TooOldError, type PageSources } from './page-plan.ts';
import type { PlacesInRoom } from './slot-file.ts';
import type { StoredPages } from './stored-pages.ts';
import { PAGE_SLOTS, RedoRun, type BuildRoom, type PageDraft, type Turns } from './redo-run.ts';
import { StoredValueError } from './stored-value.ts';

/**
 * Makes pages as of an LSN, by one plan (page-plan.ts): their bases are fetched together, and their redo is applied in
 * one pass over the log. What is damaged is reported, never repaired here: two damaged copies must not ask each other
 * in circles.
 */

export type Built =
  | { readonly kind: 'page'; readonly page: PageKey; /** The caller's own, in its room where it gave one. */ readonly bytes: Buffer }
  /** It does not exist at that LSN; what may be stored of it is from before it was dropped. */
  | { readonly kind: 'none'; readonly page: PageKey }
  /** It can be told from `lsn` on alone. */
  | { readonly kind: 'newer'; readonly page: PageKey; readonly lsn: bigint }
  | { readonly kind: 'damaged'; readonly page: PageKey; readonly error: StoredValueError | LogReadError };

/**
 * What pages are made for.
 *   read    somebody reads them: what is made is kept in memory, and never is a page told whose redo is not all here
 *           any more
 *   store   they are stored, as of an LSN up to which the index has all the redo that matters for them
 */
export type Purpose = 'read' | 'store';

/** At most so many pages at once. */
export const BUILD_PAGES_MAX = PAGE_SLOTS;

export class PageBuilder {
  readonly #from: PageSources;
  readonly #turns: Turns;
  /**
   * Moves whenever references are dropped, so that a read that was waiting does not keep what it began with in memory.
   */
  #generation = 0;
  recordsApplied = 0;

  constructor(sources: PageSources, turns: Turns) {
    this.#from = sources;
    this.#turns = turns;
  }

  /** Must be told before references are dropped or annulled. */
  invalidate(): void {
    this.#generation++;
  }

  /**
   * Pages in the order asked for. At most BUILD_PAGES_MAX. Throws RedoError, LogGoneError. `room`: for so many pages, each of which is made at its place;
   * a page is there until the room is used again, and nothing is on its way into it once this has given something or failed.
   *
   * Invariant: redo that goes while a build waits is in versions that are stored by then, so the build that begins anew
   * finds them. It does so only when the log's start has moved, which each checkpoint does once.
   */
  async build(pages: readonly PageKey[], lsn: bigint, purpose: Purpose, room?: BuildRoom): Promise<Built[]> {
    if (pages.length > PAGE_SLOTS) throw new RangeError(`${pages.length} pages at once are more than ${PAGE_SLOTS}`);
    for (;;) {
      const { startLsn } = this.#from.log;
      try {
        return await this.#build(pages, lsn, purpose === 'read', room);
      } catch (error) {
        if (!(error instanceof LogGoneError) || this.#from.log.startLsn === startLsn) throw error;
      }
    }
  }

  async #build(pages: readonly PageKey[], lsn: bigint, isRead: boolean, room: BuildRoom | undefined): Promise<Built[]> {
    const generation = this.#generation;
    const { pageBytes } = this.#from.engine;
    const drafts = pages.map((page, place) =>
      this.#draft(page, lsn, isRead, room?.pages.subarray(place * pageBytes, (place + 1) * pageBytes)),
    );
    // Which records they need is looked up before any wait: a checkpoint meanwhile makes a version newer, and skips
    // those that it has.
    const run = drafts.some(({ plan }) => plan.refs.length > 0) ? new RedoRun(this.#from, drafts, room) : undefined;
    await this.#readBases(drafts, room);
    if (run !== undefined) await run.apply(this.#turns, isRead);
    return drafts.map((draft) => this.#finish(draft, isRead && generation === this.#generation));
  }

  #draft(page: PageKey, lsn: bigint, isRead: boolean, place: Buffer | undefined): PageDraft {
    const plan = planPage(this.#from, page, lsn, isRead);
    const draft: PageDraft = { plan, bytes: undefined, baseLsn: plan.floor, applied: 0, failure: undefined };
    if (isRead) {
      const later = this.#from.tombstones.lastTombstone(page, this.#from.writtenTo());
      if (later >= lsn) draft.failure = { kind: 'newer', lsn: later };
    }
    if (plan.cached !== undefined) {
      draft.bytes = place ?? Buffer.allocUnsafeSlow(plan.cached.page.length);
      plan.cached.page.copy(draft.bytes);
      draft.baseLsn = plan.cached.lsn;
    }
    return draft;
  }

  /** Fetches the stored versions of those that need one, and makes what they were copied from where they were. */
  async #readBases(drafts: readonly PageDraft[], room: BuildRoom | undefined): Promise<void> {
    const places: number[] = [];
    drafts.forEach((draft, place) => {
      if (draft.failure === undefined && needsStored(draft.plan)) places.push(place);
    });
    if (places.length === 0) return;
    const wanting = places.flatMap((place) => drafts[place] ?? []);
    const pages = wanting.map(({ plan }) => plan.page);
    const versions = await this.#versions(pages, room === undefined ? undefined : { room: room.pages, places });
    const copied: PageDraft[] = [];
    wanting.forEach((draft, at) => {
      const version = versions[at];
      if (version instanceof StoredValueError) {
        draft.failure = { kind: 'damaged', error: version };
        return;
      }
      const base = baseOf(draft.plan, version);
      if (base.kind === 'newer') draft.failure = base;
      else if (base.kind === 'version') {
        draft.bytes = base.version.page;
        draft.baseLsn = base.version.lsn;
      } else if (draft.plan.copy !== undefined) copied.push(draft);
    });
    if (copied.length > 0) await this.#copySources(copied);
  }

  /**
   * A page that was copied and not stored since is what its source was. The source's redo is all here: until the copy
   * is stored, a source is not written as of a later LSN, whatever became of it.
   */
  async #copySources(drafts: readonly PageDraft[]): Promise<void> {
    for (const draft of drafts) {
      const { copy, page } = draft.plan;
      if (copy === undefined) continue;
      const source = { space: copy.from + page.space.slice(copy.to.length), block: page.block };
      const [built] = await this.build([source], copy.lsn, 'store');
      if (built?.kind === 'page') draft.bytes = built.bytes;
      else if (built?.kind === 'newer') draft.failure = { kind: 'newer', lsn: built.lsn };
      else if (built?.kind === 'damaged') draft.failure = { kind: 'damaged', error: built.error };
    }
  }

  /** What is stored of many pages. Where the store itself is damaged, and cannot say which of them, all are. */
  async #versions(pages: readonly PageKey[], into: PlacesInRoom | undefined): Promise<StoredPages> {
    try {
      return await this.#from.store.getMany(pages, into);
    } catch (error) {
      if (error instanceof StoredValueError) return pages.map(() => error);
      throw error;
    }
  }

  #finish({ plan: { page, lsn }, bytes, failure, applied }: PageDraft, isKept: boolean): Built {
    this.recordsApplied += applied;
    if (failure !== undefined) return { ...failure, page };
    if (bytes === undefined) {
      // Of what is removed below the checkpoint nothing is left to tell what it was before.
      const keptFrom = this.#from.keptFrom();
      return lsn < keptFrom ? { kind: 'newer', page, lsn: keptFrom } : { kind: 'none', page };
    }
    if (isKept && applied > 0) this.#from.cache.put(page, lsn, bytes);
    return { kind: 'page', page, bytes };
  }
}

/** A page's bytes; undefined when it does not exist. Throws TooOldError, and what is damaged as it is. */
export function bytesOf(built: Built, lsn: bigint, describe: (page: PageKey) => string): Buffer | undefined {
  switch (built.kind) {
    case 'page':
      return built.bytes;
    case 'none':
      return undefined;
    case 'newer':
      throw new TooOldError(describe(built.page), lsn, built.lsn);
    case 'damaged':
      throw built.error;
  }
}
