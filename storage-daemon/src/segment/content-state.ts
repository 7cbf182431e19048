import {
  CONTENT_MEANING,
  CONTENT_TABLE,
  type ContentEvent,
  type ContentMeaning,
  type ContentPhase,
  type FailureEvent,
} from './content-table.ts';
import type { ContentFault, Failure } from './segment-fault.ts';

/** What happened, by what is wrong. */
const EVENT_OF: Readonly<Record<ContentFault['kind'], FailureEvent>> = {
  DISK_FULL: 'diskFailed',
  DISK_ERROR: 'diskFailed',
  DAMAGED_DATA: 'foundDamaged',
  REDO_FAILED: 'cannotGoOn',
  HISTORY_REFUSED: 'cannotGoOn',
  ENGINE_UNKNOWN: 'cannotGoOn',
  KEY_UNUSABLE: 'cannotGoOn',
  UNKNOWN: 'cannotGoOn',
};

/** What was wrong is over with these. */
const MENDS: ReadonlySet<ContentEvent> = new Set(['opened', 'replaced', 'ending']);

/** Where a segment's content stands in content-table.ts, and why. */
export class ContentState {
  #phase: ContentPhase = 'empty';
  #failure: Failure | undefined;

  get phase(): ContentPhase {
    return this.#phase;
  }

  get meaning(): ContentMeaning {
    return CONTENT_MEANING[this.#phase];
  }

  /** Why it is not open; undefined while nothing is wrong. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Something went wrong. Gives whether that changes anything: the state, or the reason for it. */
  fail(failure: Failure): boolean {
    const to = this.#step(EVENT_OF[failure.fault.kind]);
    if (to === undefined) return false;
    const changes = to !== this.#phase || failure.message !== this.#failure?.message;
    this.#phase = to;
    if (changes) this.#failure = failure;
    return changes;
  }

  /** An import or a copy begins. Gives why it may not; undefined: it may. */
  replace(): string | undefined {
    if (CONTENT_TABLE[this.#phase].replacing !== 'refuse') {
      this.on('replacing');
      return undefined;
    }
    if (this.meaning.isReplacing) return 'an import or copy is under way already';
    return this.#failure?.message ?? 'the daemon stops';
  }

  on(event: Exclude<ContentEvent, FailureEvent>): void {
    const to = this.#step(event);
    if (to === undefined) return;
    this.#phase = to;
    // Until it is open, or something else, it keeps its reason: it must not look as if nothing had ever been wrong with
    // it.
    if (MENDS.has(event)) this.#failure = undefined;
  }

  /** The same failure, with newer numbers: free bytes that nobody is to be told of again. */
  update(fault: ContentFault): void {
    if (this.#failure?.fault.kind === fault.kind) this.#failure = { ...this.#failure, fault };
  }

  #step(event: ContentEvent): ContentPhase | undefined {
    const outcome = CONTENT_TABLE[this.#phase][event];
    if (outcome === 'throw' || outcome === 'refuse') throw new Error(`content that is ${this.#phase} was told '${event}'`);
    return outcome === 'nothing' ? undefined : outcome.to;
  }
}
