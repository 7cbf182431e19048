import type { Clock } from '@kube-aurora/clock';
import { decodeRecord, type Lsn } from '@kube-aurora/pg-format';
import { encodePageKey, redo, touchedPages, type PageId } from '@kube-aurora/redo';
import { refReplaces, refSeq } from './redo-index.ts';
import { StoredValueError } from './stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import { RecordWindow } from '../redo-log/record-window.ts';
import { collectRefs, touchedOf, type PageSources } from './page-builder.ts';

/**
 * Many pages as of one LSN, for checkpoints: their stored versions are fetched together, and the log is read once, in its order, for all of
 * them. What `PageReader.pageAt` gives for each, without its cache of results.
 */

/** Records further apart than this are not read in one stretch. */
const GAP_BYTES = 8 * 1024;
/** Records between two looks at the clock. */
const CLOCK_STRIDE = 16;
const PAGE_SLOTS = 1024;

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

/** The clock, and what a turn of the event loop may take. */
export interface Turns {
  readonly clock: Clock;
  readonly sliceMs: number;
}

interface Slot {
  readonly page: PageId;
  readonly refs: readonly number[];
  readonly floor: number;
  bytes: Buffer | undefined;
  baseLsn: number;
  outcome: 'page' | 'newer' | 'apart';
}

/** Throws RedoError. */
export async function buildPages(from: PageSources, pages: readonly PageId[], lsn: number, turns: Turns): Promise<Built[]> {
  if (pages.length > PAGE_SLOTS) throw new RangeError(`${pages.length} pages at once are more than ${PAGE_SLOTS}`);
  const slots = pages.map((page) => slotOf(from, page, lsn));
  const plan = new RecordPlan(from, slots);
  await readBases(from, slots, lsn);
  await plan.apply(from, slots, turns);
  return slots.map(builtOf);
}

function slotOf({ tombstones, cache, index, table }: PageSources, page: PageId, lsn: number): Slot {
  const tombstone = tombstones.lastTombstone(page, lsn);
  const copy = tombstones.lastCopyInto(page, lsn);
  const floor = Math.max(tombstone, copy?.lsn ?? -1);
  const slot: Slot = { page, refs: [], floor, bytes: undefined, baseLsn: floor, outcome: 'page' };
  if (copy !== undefined) return { ...slot, outcome: 'apart' };
  const cached = cache.peek(encodePageKey(page).toString('latin1'));
  if (cached !== undefined && cached.lsn <= lsn && cached.lsn > floor) {
    const refs = collectRefs(index.refsOf(page), table, cached.lsn - 1, lsn);
    return { ...slot, refs, bytes: Buffer.from(cached.page), baseLsn: cached.lsn };
  }
  return { ...slot, refs: collectRefs(index.refsOf(page), table, floor, lsn) };
}

/** Fetches the stored versions of those that need one. */
async function readBases({ store }: PageSources, slots: readonly Slot[], lsn: number): Promise<void> {
  const wanting = slots.filter((slot) => {
    const [first] = slot.refs;
    return slot.outcome === 'page' && slot.bytes === undefined && (first === undefined || !refReplaces(first));
  });
  let versions: Awaited<ReturnType<typeof store.getMany>>;
  try {
    versions = await store.getMany(wanting.map((slot) => slot.page));
  } catch (error) {
    if (!(error instanceof StoredValueError)) throw error;
    for (const slot of wanting) slot.outcome = 'apart';
    return;
  }
  wanting.forEach((slot, at) => {
    const version = versions[at];
    if (version === undefined) return;
    if (version instanceof StoredValueError) slot.outcome = 'apart';
    else if (version.lsn > lsn) slot.outcome = 'newer';
    else if (version.lsn > slot.floor) {
      slot.bytes = version.page;
      slot.baseLsn = version.lsn;
    }
  });
}

/** Which record changes which slot, in the log's order. Record numbers mean nothing once the table has moved on: taken before any wait. */
class RecordPlan {
  /** seq * PAGE_SLOTS + slot, ascending. */
  readonly #steps: Float64Array;
  readonly #lsns: Float64Array;
  readonly #positions: Float64Array;
  readonly #lengths: Float64Array;

  constructor({ table }: PageSources, slots: readonly Slot[]) {
    const count = slots.reduce((sum, slot) => sum + slot.refs.length, 0);
    const steps = new Float64Array(count);
    let next = 0;
    slots.forEach((slot, at) => {
      for (const ref of slot.refs) steps[next++] = refSeq(ref) * PAGE_SLOTS + at;
    });
    this.#steps = steps.sort();
    this.#lsns = steps.map((step) => table.lsn(Math.floor(step / PAGE_SLOTS)));
    this.#positions = steps.map((step) => table.position(Math.floor(step / PAGE_SLOTS)));
    this.#lengths = steps.map((step) => table.recordBytes(Math.floor(step / PAGE_SLOTS)));
  }

  async apply(from: PageSources, slots: readonly Slot[], { clock, sliceMs }: Turns): Promise<void> {
    const window = new RecordWindow(from.log.reader);
    let until = clock.now() + sliceMs;
    let done = 0;
    for (let at = 0; at < this.#steps.length;) {
      at = this.#applyRecord(window, slots, at);
      if (++done % CLOCK_STRIDE !== 0 || clock.now() < until) continue;
      await clock.turn();
      until = clock.now() + sliceMs;
    }
  }

  /** Applies the record of step `at` to every slot that it changes; gives the first step of the next one. */
  #applyRecord(window: RecordWindow, slots: readonly Slot[], at: number): number {
    const seq = this.#seq(at);
    const start = this.#lsns[at] ?? 0;
    const lsn = BigInt(start) as Lsn;
    let record: ReturnType<typeof decodeRecord> | undefined;
    let touched: ReturnType<typeof touchedPages> = [];
    let next = at;
    for (; next < this.#steps.length && this.#seq(next) === seq; next++) {
      const slot = slots[(this.#steps[next] ?? 0) % PAGE_SLOTS];
      if (slot === undefined || slot.outcome !== 'page' || start < slot.baseLsn) continue;
      if (record === undefined) {
        try {
          const raw = window.record(this.#positions[at] ?? 0, this.#lengths[at] ?? 0, lsn, () => this.#reach(at));
          record = decodeRecord(raw, lsn);
          touched = touchedPages(record, true);
        } catch (error) {
          if (!(error instanceof LogReadError)) throw error;
          slot.outcome = 'apart';
          continue;
        }
      }
      slot.bytes = redo(slot.bytes, record, touchedOf(touched, slot.page, record));
    }
    return next;
  }

  #seq(at: number): number {
    return Math.floor((this.#steps[at] ?? 0) / PAGE_SLOTS);
  }

  /** Where the run of records ends that stand close to the one of step `at`. */
  #reach(at: number): number {
    const limit = (this.#positions[at] ?? 0) + RecordWindow.reach;
    let end = this.#end(at);
    for (let next = at + 1; next < this.#steps.length; next++) {
      const position = this.#positions[next] ?? 0;
      if (position - end > GAP_BYTES || position > limit) break;
      end = Math.max(end, this.#end(next));
    }
    return end;
  }

  #end(at: number): number {
    return (this.#positions[at] ?? 0) + 8 + (this.#lengths[at] ?? 0);
  }
}

function builtOf({ page, outcome, bytes }: Slot): Built {
  if (outcome !== 'page') return { kind: outcome, page };
  return bytes === undefined ? { kind: 'none', page } : { kind: 'page', page, bytes };
}
