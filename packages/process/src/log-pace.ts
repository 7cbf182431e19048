/**
 * At most one line in so many milliseconds for each thing that is said, so that strangers cannot fill a log. Things to be said are of a kind
 * that the program bounds.
 */
export class LogPace {
  readonly #intervalMs: number;
  readonly #said = new Map<string, { at: number; silent: number }>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** How many were passed over since the last line of this kind, when one is due; undefined: this one is passed over too. */
  due(kind: string, now: number): number | undefined {
    const before = this.#said.get(kind);
    if (before !== undefined && now - before.at < this.#intervalMs) {
      before.silent++;
      return undefined;
    }
    this.#said.set(kind, { at: now, silent: 0 });
    return before?.silent ?? 0;
  }
}
