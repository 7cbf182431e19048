import type { Metrics } from '@kube-aurora/cluster-view';
import type { Looks } from '../history/figures.ts';
import type { Heard } from '../answers/answers.ts';
import type { Scrape } from './scrape.ts';

/** Between the first and the last of the looks that figures of now are made from, at the least where there are so many. */
const RECENT_MS = 9_000;

interface Look {
  readonly at: number;
  readonly metrics: Metrics;
}

/** What one program said, now and a while ago. It is of one pod: another of the same name begins anew. */
export class ProgramLooks {
  readonly uid: string;
  /** Of the last ten seconds and the one before, newest last. */
  #recent: readonly Look[] = [];
  /** Where the step of the history began. */
  #mark: Look | undefined;
  #silentSince: number | null = null;
  #asking = false;

  constructor(uid: string) {
    this.uid = uid;
  }

  get #latest(): Look | undefined {
    return this.#recent.at(-1);
  }

  get heard(): Heard {
    return { heardAt: this.#latest?.at ?? null, silentSince: this.#silentSince };
  }

  /** Undefined while it is silent: what it said last is no longer so. */
  get latest(): Metrics | undefined {
    return this.#silentSince === null ? this.#latest?.metrics : undefined;
  }

  /** The last ten seconds or so: what a program counts more rarely than it is asked grows in them evenly enough. */
  get recent(): Looks | undefined {
    return this.#looks(this.#recent[0]);
  }

  /** From the mark to the last look. The mark is set there: the next step begins. */
  takeStep(): Looks | undefined {
    const step = this.#looks(this.#mark);
    this.#mark = this.#silentSince === null ? this.#latest : undefined;
    return step;
  }

  /** One question at a time, whatever its pace. */
  async ask(scrape: Scrape, host: string, port: number, now: () => number): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const metrics = await scrape(host, port);
      const look = { at: now(), metrics };
      // What was before a silence is of no known time: the program may have begun anew.
      const known = this.#silentSince === null ? [...this.#recent, look] : [look];
      this.#recent = known.filter((_one, index) => index >= known.length - 2 || (known[index + 1]?.at ?? 0) >= look.at - RECENT_MS);
      this.#silentSince = null;
    } catch {
      // Why it is silent its pod's state tells; that it is silent is what is shown.
      this.#silentSince ??= now();
      this.#mark = undefined;
    } finally {
      this.#asking = false;
    }
  }

  #looks(from: Look | undefined): Looks | undefined {
    if (this.#silentSince !== null || this.#latest === undefined) return undefined;
    if (from === undefined || from === this.#latest) return { before: undefined, after: this.#latest.metrics, seconds: 0 };
    return { before: from.metrics, after: this.#latest.metrics, seconds: (this.#latest.at - from.at) / 1000 };
  }
}
