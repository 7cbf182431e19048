/** Whoever changes stored pages and their references takes a turn: one at a time. */
export class PageTurn {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` while nobody else changes stored pages. Not to be nested. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
