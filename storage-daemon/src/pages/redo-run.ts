import type { Clock } from '@kube-aurora/clock';
import { maxLsn } from '@kube-aurora/pg-format/lsn';
import {
  RedoError,
  type PageKey,
  type RedoEngine,
  type RedoRecord,
  type RedoRunner,
  type RedoSteps,
  type TouchedPage,
} from '@kube-aurora/redo-engine';
import { LogReadError } from '../redo-log/log-errors.ts';
import { RecordWindow, type LogStretch, type WindowRoom } from '../redo-log/record-window.ts';
import type { PagePlan, PageSources } from './page-plan.ts';
import type { RecordTable } from './record-table.ts';
import { refSeq } from './redo-index.ts';
import type { StoredValueError } from './stored-value.ts';

/** Applies the redo of many pages in one pass over the log, in its order: each record is read once. */

/** Records further apart than this are not read in one stretch: to read what is between them costs less than another call. */
const GAP_BYTES = 16 * 1024;
/** Steps between two looks at the clock, at least. */
const CLOCK_STRIDE = 16;
/** Steps of one call of the engine, at most: some tenths of a millisecond. */
const RUN_STEPS = 1024;
/** No record is at or past it. */
const NEVER = 2n ** 64n - 1n;
/** Pages of one run, at most. */
export const PAGE_SLOTS = 1024;

/** The clock, and what a turn of the event loop may take. */
export interface Turns {
  readonly clock: Clock;
  readonly sliceMs: number;
}

/** Memory of a caller that builds again and again: pages are made in it and the log is read into it, which V8 would have to collect otherwise. */
export interface BuildRoom {
  /** Of the pages of one build, each at its place. */
  readonly pages: Buffer;
  readonly log: WindowRoom;
  readonly steps: StepsRoom;
}

/** Room for steps; it grows to the most that a build has. */
export interface StepsRoom {
  steps: RedoSteps;
  order: Float64Array;
}

export function stepsRoom(count = 0): StepsRoom {
  const steps = {
    positions: new Float64Array(count),
    lengths: new Uint32Array(count),
    lsns: new BigUint64Array(count),
    pages: new Uint32Array(count),
  };
  return { steps, order: new Float64Array(count) };
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
  readonly #room: BuildRoom | undefined;
  readonly #steps: RedoSteps;
  readonly #count: number;
  /** The drafts' own, or new ones where they did not exist. */
  readonly #bytes: (Buffer | undefined)[] = [];
  /** Of each draft: below it nothing is applied, and nothing at all where it failed. */
  readonly #floors: BigUint64Array;
  readonly #applied: Uint32Array;

  /** `room`: pages that are new are made there; without it each has memory of its own. */
  constructor(from: Pick<PageSources, 'engine' | 'log' | 'table'>, slots: readonly PageDraft[], room?: BuildRoom) {
    this.#from = from;
    this.#room = room;
    this.#slots = slots;
    this.#count = slots.reduce((sum, slot) => sum + slot.plan.refs.length, 0);
    this.#steps = stepsOf(from.table, slots, this.#count, room?.steps);
    this.#floors = new BigUint64Array(slots.length);
    this.#applied = new Uint32Array(slots.length);
  }

  /** `isRecent`: the redo is likely to be still in memory, where it is looked for first. */
  async apply({ clock, sliceMs }: Turns, isRecent: boolean): Promise<void> {
    const { engine, log } = this.#from;
    this.#slots.forEach(({ plan, bytes, baseLsn, failure }, slot) => {
      const isChanged = failure === undefined && plan.refs.length > 0;
      this.#floors[slot] = isChanged ? maxLsn(baseLsn, 0n) : NEVER;
      this.#bytes[slot] = isChanged ? (bytes ?? this.#blank(slot)) : undefined;
    });
    const runner = engine.runner?.(this.#steps, {
      keys: this.#slots.map(({ plan }) => plan.page),
      bytes: this.#bytes,
      from: this.#floors,
      applied: this.#applied,
    });
    const window = new RecordWindow(log.reader, isRecent, this.#room?.log);
    let until = clock.now() + sliceMs;
    let looked = 0;
    for (let at = 0; at < this.#count;) {
      at = runner === undefined ? this.#applyRecord(window, at) : this.#applyRun(runner, window, at);
      if (at - looked < CLOCK_STRIDE) continue;
      looked = at;
      if (clock.now() < until) continue;
      await clock.turn();
      until = clock.now() + sliceMs;
    }
    this.#slots.forEach((slot, at) => {
      const applied = this.#applied[at] ?? 0;
      slot.applied += applied;
      if (applied > 0) slot.bytes = this.#bytes[at];
    });
  }

  #blank(slot: number): Buffer {
    const { pageBytes } = this.#from.engine;
    return this.#room?.pages.subarray(slot * pageBytes, (slot + 1) * pageBytes).fill(0) ?? Buffer.alloc(pageBytes);
  }

  /** Applies records from step `at` on in one call of the engine, and the one that it leaves by itself; gives the step after them. */
  #applyRun(runner: RedoRunner, window: RecordWindow, first: number): number {
    // The log may not have any more what no page needs.
    let at = first;
    while (at < this.#count && this.#isPassedOver(at)) at++;
    if (at === this.#count) return at;
    const stretch = this.#stretch(window, at);
    if (stretch === undefined) return this.#applyRecord(window, at);
    const end = Math.min(this.#count, at + RUN_STEPS);
    const next = runner.apply(stretch.bytes, stretch.position, at, end);
    const isLeft = next < end && (next === at || this.#end(next) <= stretch.position + stretch.bytes.length);
    return isLeft ? this.#applyRecord(window, next) : next;
  }

  #isPassedOver(at: number): boolean {
    const { lsns, pages } = this.#steps;
    return (lsns[at] ?? 0n) < (this.#floors[pages[at] ?? 0] ?? NEVER);
  }

  /** Undefined where the record cannot be read in a stretch: reading it alone says why. */
  #stretch(window: RecordWindow, at: number): LogStretch | undefined {
    const { positions, lengths, lsns } = this.#steps;
    try {
      return window.stretch(positions[at] ?? 0, lengths[at] ?? 0, lsns[at] ?? 0n, () => this.#reach(at));
    } catch (error) {
      if (error instanceof LogReadError) return undefined;
      throw error;
    }
  }

  /** Applies the record of step `at` to every slot that it changes; gives the first step of the next one. */
  #applyRecord(window: RecordWindow, at: number): number {
    const { engine } = this.#from;
    const { positions, lengths, lsns, pages } = this.#steps;
    const position = positions[at] ?? 0;
    const lsn = lsns[at] ?? 0n;
    let record: RedoRecord | undefined;
    let touched: readonly TouchedPage[] = [];
    let next = at;
    for (; next < this.#count && positions[next] === position; next++) {
      const index = pages[next] ?? 0;
      const slot = this.#slots[index];
      if (slot === undefined || this.#isPassedOver(next)) continue;
      if (record === undefined) {
        try {
          const raw = window.record(position, lengths[at] ?? 0, lsn, () => this.#reach(at));
          record = engine.decode(raw, lsn);
          touched = engine.touched(record);
        } catch (error) {
          if (!(error instanceof LogReadError)) throw error;
          slot.failure = { kind: 'damaged', error };
          this.#floors[index] = NEVER;
          continue;
        }
      }
      this.#bytes[index] = engine.redo(this.#bytes[index], record, touchedOf(engine, touched, slot.plan.page, record));
      this.#applied[index] = (this.#applied[index] ?? 0) + 1;
    }
    return next;
  }

  /** Where the run of records ends that stand close to the one of step `at`. */
  #reach(at: number): number {
    const { positions } = this.#steps;
    const limit = (positions[at] ?? 0) + RecordWindow.reach;
    let end = this.#end(at);
    for (let next = at + 1; next < this.#count; next++) {
      const position = positions[next] ?? 0;
      if (position - end > GAP_BYTES || position > limit) break;
      end = Math.max(end, this.#end(next));
    }
    return end;
  }

  #end(at: number): number {
    return (this.#steps.positions[at] ?? 0) + 8 + (this.#steps.lengths[at] ?? 0);
  }
}

/** Every record of every draft, in the log's order: `count` steps. */
function stepsOf(table: RecordTable, slots: readonly PageDraft[], count: number, room = stepsRoom(count)): RedoSteps {
  if (room.order.length < count) Object.assign(room, stepsRoom(count));
  const { steps } = room;
  // seq * PAGE_SLOTS + slot, ascending.
  const order = room.order.subarray(0, count);
  let filled = 0;
  slots.forEach((slot, at) => {
    for (const ref of slot.plan.refs) order[filled++] = refSeq(ref) * PAGE_SLOTS + at;
  });
  if (slots.length > 1) order.sort();
  for (let at = 0; at < count; at++) {
    const step = order[at] ?? 0;
    const seq = Math.floor(step / PAGE_SLOTS);
    table.describe(seq, at, steps);
    steps.pages[at] = step - seq * PAGE_SLOTS;
  }
  return steps;
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
