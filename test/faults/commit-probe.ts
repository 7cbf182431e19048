/** When does a client that connects anew have its first commit acknowledged, and how many commits are there in each second? */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';

/** Between two connections that are tried; each has a client of its own, so that one that hangs holds up none. */
const EVERY_MS = 25;
const AT_ONCE_MAX = 40;

/** Tries new connections, one after another and without waiting for those before, until one has committed. */
export class CommitProbe {
  readonly #open: () => Promise<pg.Client>;

  constructor(open: () => Promise<pg.Client>) {
    this.#open = open;
  }

  /**
   * Milliseconds from `sinceMs` (of performance.now()) to the first acknowledgement on a connection that was begun after it.
   * Undefined when there was none in `withinMs`.
   */
  async firstCommit(sinceMs: number, withinMs: number): Promise<number | undefined> {
    let first: number | undefined;
    const tries = new Set<Promise<void>>();
    while (first === undefined && performance.now() - sinceMs < withinMs) {
      if (tries.size < AT_ONCE_MAX) {
        const one: Promise<void> = this.#commit()
          .then((atMs) => {
            if (atMs !== undefined) first ??= atMs - sinceMs;
          })
          .finally(() => tries.delete(one));
        tries.add(one);
      }
      await delay(EVERY_MS);
    }
    await Promise.race([Promise.all(tries), delay(1000)]);
    return first;
  }

  async #commit(): Promise<number | undefined> {
    let client: pg.Client | undefined;
    try {
      client = await this.#open();
      await client.query('INSERT INTO probe DEFAULT VALUES');
      return performance.now();
    } catch (error) {
      // What is being measured: there is nobody to commit yet.
      if (error instanceof Error) return undefined;
      throw error;
    } finally {
      void client?.end().catch(() => undefined);
    }
  }
}

/** Commits by time, as acknowledged. */
export class CommitTimes {
  readonly #times: number[] = [];

  note(atMs: number): void {
    this.#times.push(atMs);
  }

  /** A second's worth of commits in the `ms` from `fromMs` on. */
  rate(fromMs: number, ms: number): number {
    return (this.#times.filter((at) => at >= fromMs && at < fromMs + ms).length * 1000) / ms;
  }
}
