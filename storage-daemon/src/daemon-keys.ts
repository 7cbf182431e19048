import { KeyRing, type Random } from '@kube-aurora/at-rest';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { isOpenedBy, type HeldKey, type KeySource } from './key-source.ts';
import type { GivenKeys } from './segment/segment-key.ts';

/** A mounted Secret is another within a minute or two; who looks this often adds nothing to that. */
const LOOK_MS = 2_000;

/** For /status. */
export interface KeysStatus {
  /** Name of the key that wraps; absent while there is none. */
  readonly wrapsWith?: string;
  /** Of all that can unwrap. */
  readonly keys: readonly string[];
  /** Why what there is now is not used; absent when it is. */
  readonly problem?: string;
  /** Since when the daemon waits for a key before it opens anything; absent when it has begun. */
  readonly waitingSince?: string;
}

export interface KeySources {
  readonly wrapping: KeySource;
  /** That wrapped before, and only unwraps. */
  readonly before: KeySource | undefined;
}

export interface DaemonKeysOptions {
  readonly sources: KeySources;
  /** What the daemon's disk has. */
  readonly held: readonly HeldKey[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Why a daemon may not open what it holds yet; empty when it may. It needs a key that wraps, and for each data key one that unwraps it,
 * as long as there is hope for one: without hope the segment is opened all the same, which stops it with a fault of its own.
 */
export function reasonsToWait({ wrapping, before }: KeySources, held: readonly HeldKey[]): readonly string[] {
  const sources = before === undefined ? [wrapping] : [wrapping, before];
  const keys = sources.flatMap((source) => source.keys);
  const reasons = [
    ...(wrapping.current === undefined ? [wrapping.problem ?? 'no key was given yet'] : []),
    ...held.flatMap((one) => (isOpenedBy(keys, one) ? [] : sources.flatMap((source) => source.awaited(one) ?? []))),
  ];
  return [...new Set(reasons)];
}

/** The keys that a daemon has: from where it is told to have them, and looked at while it runs. */
export class DaemonKeys implements GivenKeys {
  readonly #options: DaemonKeysOptions;
  readonly #stop = new AbortController();
  #ring: KeyRing | undefined;
  #waiting: { readonly since: string; readonly reasons: readonly string[] } | undefined;

  constructor(options: DaemonKeysOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the daemon may open what it holds; to false when `stop` was called before. `onWaiting` is called, and awaited, when that takes longer than a look: somebody has to
   * say that the daemon waits. Nothing is opened or changed meanwhile.
   */
  async begin(onWaiting: () => Promise<void>): Promise<boolean> {
    const { sources, held, clock, logger } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await this.#look();
      const reasons = reasonsToWait(sources, held);
      if (signal.aborted) return false;
      if (reasons.length === 0) break;
      const isFirst = this.#waiting === undefined;
      this.#waiting = { since: this.#waiting?.since ?? new Date(clock.wallTime()).toISOString(), reasons };
      if (isFirst) {
        logger.warn({ reasons }, 'waits for the key that unwraps what is stored: nothing is opened, changed or lost meanwhile');
        await onWaiting();
      }
      await clock.sleep(LOOK_MS, signal);
    }
    this.#waiting = undefined;
    this.#take();
    logger.info(this.status, 'what is stored is encrypted');
    return true;
  }

  get ring(): KeyRing {
    if (this.#ring === undefined) throw new Error('keys are asked for before begin() has resolved');
    return this.#ring;
  }

  get status(): KeysStatus {
    const sources = this.#sources();
    const problems = this.#waiting?.reasons ?? sources.flatMap(({ problem }) => problem ?? []);
    const wrapsWith = this.#ring?.current.name;
    return {
      ...(wrapsWith === undefined ? {} : { wrapsWith }),
      keys: this.#ring?.names ?? [],
      ...(problems.length === 0 ? {} : { problem: [...new Set(problems)].join('; ') }),
      ...(this.#waiting === undefined ? {} : { waitingSince: this.#waiting.since }),
    };
  }

  /** Looks until `stop`, and tells of every look, whether other keys are here; one call after the other. */
  async watch(onLook: (isNews: boolean) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#options.clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      await this.#look();
      await onLook(this.#take());
    }
  }

  stop(): void {
    this.#stop.abort();
    for (const source of this.#sources()) source.close();
  }

  #sources(): readonly KeySource[] {
    const { wrapping, before } = this.#options.sources;
    return before === undefined ? [wrapping] : [wrapping, before];
  }

  async #look(): Promise<void> {
    for (const source of this.#sources()) await source.look(this.#options.held);
  }

  #take(): boolean {
    const { sources, random, logger } = this.#options;
    const current = sources.wrapping.current;
    if (current === undefined) return false;
    const before = this.#ring;
    const ring = new KeyRing(
      current,
      this.#sources().flatMap(({ keys }) => keys),
      random,
    );
    const isNews = before?.fingerprint !== ring.fingerprint;
    this.#ring = ring;
    if (isNews && before !== undefined) logger.info(this.status, 'data keys are wrapped by this key');
    return isNews;
  }
}
