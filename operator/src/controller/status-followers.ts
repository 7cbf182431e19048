import type { StatusWait } from '../kube/fetch-status.ts';

/** So long an agent is asked to hold its answer back. */
const WAIT_MS = 20_000;
/** Between two answers of one agent, so that one whose status never rests is no burden. */
const PACE_MS = 50;
/** After a connection that broke. */
const AGAIN_MS = 1_000;

interface FollowersOptions {
  /** GET /status of a pod, held back until there is another; rejects when it does not answer. */
  readonly fetchChange: (wait: StatusWait) => Promise<unknown>;
  /** Takes the answer; gives the version that it is of, if it has one. */
  readonly onChange: (body: unknown) => string | undefined;
  /** The connection broke: it may be dead, and whoever asks it now knows. */
  readonly onLost: () => void;
}

interface Dependencies {
  readonly setTimer: (run: () => void, delayMs: number) => { cancel: () => void };
  readonly now: () => number;
}

/**
 * Waits at programs for the next change of their status, one question each, beside the ordinary asking: news come as they happen, and
 * nothing is sent while nothing happens. Nothing depends on it: a program that cannot be waited at is asked as often as others.
 */
export class StatusFollowers {
  readonly #dependencies: Dependencies;
  readonly #following = new Map<string, AbortController>();
  readonly #lostAt = new Map<string, number>();

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  /** Waits for what comes after `version`, and so on, unless that is done already. */
  follow(id: string, version: string, options: FollowersOptions): void {
    if (this.#following.has(id) || this.#dependencies.now() - (this.#lostAt.get(id) ?? -Infinity) < AGAIN_MS) return;
    const controller = new AbortController();
    this.#following.set(id, controller);
    void this.#run(id, version, options, controller.signal);
  }

  /** Lets go of all others. */
  keep(ids: ReadonlySet<string>): void {
    for (const [id, controller] of this.#following) if (!ids.has(id)) controller.abort();
    for (const id of this.#lostAt.keys()) if (!ids.has(id)) this.#lostAt.delete(id);
  }

  async #run(id: string, version: string, { fetchChange, onChange, onLost }: FollowersOptions, signal: AbortSignal): Promise<void> {
    let isLost = false;
    for (let after: string | undefined = version; after !== undefined && !signal.aborted;) {
      let body: unknown;
      try {
        body = await fetchChange({ after, ms: WAIT_MS, signal });
      } catch {
        // Why does not matter here: an ordinary question follows, and its answer or silence is what counts.
        isLost = !signal.aborted;
        break;
      }
      if (signal.aborted) break;
      after = onChange(body);
      await new Promise<void>((resolve) => this.#dependencies.setTimer(resolve, PACE_MS));
    }
    this.#following.delete(id);
    if (!isLost) return;
    this.#lostAt.set(id, this.#dependencies.now());
    onLost();
  }
}
