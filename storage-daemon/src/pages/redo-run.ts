import type { Clock } from '@kube-aurora/clock';
import { RedoError, type PageKey, type RedoEngine, type RedoRecord, type TouchedPage } from '@kube-aurora/redo-engine';
import { LogReadError } from '../redo-log/log-errors.ts';
import { RecordWindow } from '../redo-log/record-window.ts';
import type { PagePlan, PageSources } from './page-plan.ts';
import { refSeq } from './redo-index.ts';
import type { StoredValueError } from './stored-value.ts';

/** Applies the redo of many pages in one pass over the log, in its order: each record is read and decoded once. */

/** Records further apart than this are not read in one stretch. */
const GAP_BYTES = 8 * 1024;
/** Records between two looks at the clock. */
const CLOCK_STRIDE = 16;
/** Pages of one run, at most. */
export const PAGE_SLOTS = 1024;

/** The clock, and what a turn of the event loop may take. */
export interface Turns {
  readonly clock: Clock;
  readonly sliceMs: number;
}

/** A page on its way from its base to its LSN. */
export interface PageDraft {
  readonly plan: PagePlan;
  bytes: Buffer | undefined;
  /** `bytes` has all redo below it. */
  baseLsn: bigint;
  /** Records that were applied. */
  applied: number;
  /** Why it cannot be made: what is stored is newer than its LSN, or what it needs is damaged. */
  failure:
    | { readonly kind: 'newer'; readonly lsn: bigint }
    | { readonly kind: 'damaged'; readonly error: StoredValueError | LogReadError }
    | undefined;
}

/**
 * Which record changes which draft. Record numbers mean nothing once the table has moved on: they are looked up before
 * any wait.
 */
export class RedoRun {
  readonly #from: Pick<PageSources, 'engine' | 'log'>;
  readonly #slots: readonly PageDraft[];
  /** seq * PAGE_SLOTS + slot, ascending. */
  readonly #steps: Float64Array;
  readonly #lsns: BigUint64Array;
  readonly #positions: Float64Array;
  readonly #lengths: Float64Array;

  constructor(from: Pick<PageSources, 'engine' | 'log' | 'table'>, slots: readonly PageDraft[]) {
    const { table } = from;
    this.#from = from;
    this.#slots = slots;
    const count = slots.reduce((sum, slot) => sum + slot.plan.refs.length, 0);
    const steps = new Float64Array(count);
    let next = 0;
    slots.forEach((slot, at) => {
      for (const ref of slot.plan.refs) steps[next++] = refSeq(ref) * PAGE_SLOTS + at;
    });
    this.#steps = steps.sort();
    this.#lsns = BigUint64Array.from(steps, (step) => table.lsn(Math.floor(step / PAGE_SLOTS)));
    this.#positions = steps.map((step) => table.position(Math.floor(step / PAGE_SLOTS)));
    this.#lengths = steps.map((step) => table.recordBytes(Math.floor(step / PAGE_SLOTS)));
  }

  /** `isRecent`: the redo is likely to be still in memory, where it is looked for first. */
  async apply({ clock, sliceMs }: Turns, isRecent: boolean): Promise<void> {
    const window = new RecordWindow(this.#from.log.reader, isRecent);
    let until = clock.now() + sliceMs;
    let done = 0;
    for (let at = 0; at < this.#steps.length;) {
      at = this.#applyRecord(window, at);
      if (++done % CLOCK_STRIDE !== 0 || clock.now() < until) continue;
      await clock.turn();
      until = clock.now() + sliceMs;
    }
  }

  /** Applies the record of step `at` to every slot that it changes; gives the first step of the next one. */
  #applyRecord(window: RecordWindow, at: number): number {
    const { engine } = this.#from;
    const seq = this.#seq(at);
    const lsn = this.#lsns[at] ?? 0n;
    let record: RedoRecord | undefined;
    let touched: readonly TouchedPage[] = [];
    let next = at;
    for (; next < this.#steps.length && this.#seq(next) === seq; next++) {
      const slot = this.#slots[(this.#steps[next] ?? 0) % PAGE_SLOTS];
      if (slot === undefined || slot.failure !== undefined || lsn < slot.baseLsn) continue;
      if (record === undefined) {
        try {
          const raw = window.record(this.#positions[at] ?? 0, this.#lengths[at] ?? 0, lsn, () => this.#reach(at));
          record = engine.decode(raw, lsn);
          touched = engine.touched(record);
        } catch (error) {
          if (!(error instanceof LogReadError)) throw error;
          slot.failure = { kind: 'damaged', error };
          continue;
        }
      }
      slot.bytes = engine.redo(slot.bytes, record, touchedOf(engine, touched, slot.plan.page, record));
      slot.applied++;
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

/** The one of a record's touched pages that is `page`. Throws RedoError when there is none. */
function touchedOf(engine: RedoEngine, touched: readonly TouchedPage[], { space, block }: PageKey, record: RedoRecord): TouchedPage {
  for (const one of touched) if (one.block === block && one.space === space) return one;
  throw new RedoError('the index names a record that does not change the page', {
    lsn: record.lsn,
    record: engine.describeRecord(record),
    page: engine.describePage({ space, block }),
  });
}
