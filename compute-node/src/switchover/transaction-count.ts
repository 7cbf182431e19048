import type { DrainedTransactions } from './drain-outcome.ts';

/**
 * Looks in a row that must find nothing. A session that had read its client's request just before the pause began may not have begun its
 * transaction at the first of them.
 */
const QUIET_LOOKS = 2;

/** Counts the transactions that one look after the other finds under way, each by a name that no other one has. */
export class TransactionCount {
  readonly #seen = new Set<string>();
  #open: readonly string[] = [];
  #quietLooks = 0;
  #looks = 0;

  /** Once more somebody has looked. */
  note(open: readonly string[]): void {
    this.#looks++;
    for (const name of open) this.#seen.add(name);
    this.#open = open;
    this.#quietLooks = open.length === 0 ? this.#quietLooks + 1 : 0;
  }

  /** None is under way. */
  get isQuiet(): boolean {
    return this.#quietLooks >= QUIET_LOOKS;
  }

  /** Of those that were seen; undefined when nobody has looked. What begins and ends between two looks is not counted. */
  get counted(): DrainedTransactions | undefined {
    if (this.#looks === 0) return undefined;
    const cutOff = new Set(this.#open).size;
    return { finished: this.#seen.size - cutOff, cutOff };
  }
}
