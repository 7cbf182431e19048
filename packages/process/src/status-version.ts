/**
 * Counts what changes in a process's status, so that somebody can wait for the next change instead of asking again and again.
 *
 * Invariant: whoever gives the version that an answer came with hears of every change since, however soon it came.
 */
export class StatusVersion {
  readonly #process: string;
  #changes = 0;
  #next = Promise.withResolvers<void>();

  /** `process` tells this process from one before it at the same address, whose versions say nothing of ours. */
  constructor(process: string) {
    this.#process = process;
  }

  get value(): string {
    return `${this.#process}/${this.#changes}`;
  }

  /** Something is different that others wait for. */
  changed(): void {
    this.#changes++;
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  /** Resolves as soon as the version is another than `seen`: at once when it is already. */
  async otherThan(seen: string): Promise<void> {
    if (this.value === seen) await this.#next.promise;
  }
}
