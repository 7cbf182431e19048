/** One at a time: whoever changes stored pages and their references takes a turn. */
export class PageTurn {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Runs `work` while nobody else has the turn. Not to be nested. Its failure is its caller's, and keeps nobody
   * waiting.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when those that had asked for it by now have had it. */
  async over(): Promise<void> {
    await this.#last;
  }
}
