import { isDeepStrictEqual } from 'node:util';
import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import {
  FAILOVER_AFTER_MS_MAX,
  FAILOVER_AFTER_MS_MIN,
  PROMOTION_TIER_MAX,
  SWITCHOVER_DRAIN_MS_MAX,
  WARM_PAGES_PER_SECOND_MAX,
} from '../config.ts';
import { textOf } from '../postgres/mounted-file.ts';

/** When a compute takes a lost writer's place. It may change while it runs: read it each time that it counts. */
export interface PlaceSettings {
  /** 0 to 15: the lowest goes first. */
  readonly tier: number;
  /** Silence after which a writer counts as gone. */
  readonly failoverAfterMs: number;
}

/** How a writer's place is taken on purpose. It may change as well. */
export interface SwitchoverSettings {
  /** How long the writer's transactions have to end before. */
  readonly drainMs: number;
}

/** What is done for a failover before there is one. It may change as well. */
export interface WarmCacheSettings {
  /** Of what the writer has in its cache and the next writer has not, fetched in a second at most; 0: none. */
  readonly warmPagesPerSecond: number;
}

/** All that failover.json says to an instance. */
export type FailoverSettings = PlaceSettings & SwitchoverSettings & WarmCacheSettings;

/**
 * Beside the parameters, in the directory that the operator's ConfigMap is mounted at:
 * `{ "afterMs": 2000, "drainMs": 2000, "tiers": { "demo-2": 0 }, "warmPagesPerSecond": 1000 }`.
 */
const FILE = 'failover.json';
/** How often it is looked at; a change of it is no haste. */
const LOOK_EVERY_MS = 1000;

export interface PlaceFileOptions {
  /** Undefined: what was given at the start holds. */
  readonly directory: string | undefined;
  readonly instance: string;
  /** What holds where the file, or a field of it, is not there. */
  readonly given: FailoverSettings;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps to what the operator says while we run, so that neither a changed tier nor a changed time costs anybody a session. What
 * makes no sense changes nothing, and is told once.
 */
export class PlaceFile implements PlaceSettings, SwitchoverSettings, WarmCacheSettings {
  readonly #options: PlaceFileOptions;
  #now: FailoverSettings;
  #text: string | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  private constructor(options: PlaceFileOptions) {
    this.#options = options;
    this.#now = options.given;
  }

  /** Resolves when the file was read once. */
  static async open(options: PlaceFileOptions): Promise<PlaceFile> {
    const file = new PlaceFile(options);
    await file.#look();
    return file;
  }

  get tier(): number {
    return this.#now.tier;
  }

  get failoverAfterMs(): number {
    return this.#now.failoverAfterMs;
  }

  get drainMs(): number {
    return this.#now.drainMs;
  }

  get warmPagesPerSecond(): number {
    return this.#now.warmPagesPerSecond;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { directory, clock, logger } = this.#options;
    try {
      const text = await textOf(directory, FILE);
      if (text !== this.#text) this.#take(text);
    } catch (error) {
      logger.warn({ err: error, file: FILE }, 'what holds for a failover could not be read; what held before stays');
    }
    if (!this.#isStopped) this.#timer = clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  #take(text: string | undefined): void {
    const { given, instance, leaseMs, logger } = this.#options;
    this.#text = text;
    const read = text === undefined ? given : readPlace(text, { instance, given, leaseMs });
    if (typeof read === 'string') {
      logger.error({ file: FILE, reason: read }, 'what should hold for a failover makes no sense; what held before stays');
      return;
    }
    if (isDeepStrictEqual(read, this.#now)) return;
    this.#now = read;
    logger.info({ ...read }, 'what holds for a failover has changed');
  }
}

/** What the file says of an instance; a text: what is wrong with it. */
export function readPlace(
  text: string,
  { instance, given, leaseMs }: { readonly instance: string; readonly given: FailoverSettings; readonly leaseMs: number },
): FailoverSettings | string {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { afterMs = given.failoverAfterMs, drainMs = given.drainMs, tiers, warmPagesPerSecond = given.warmPagesPerSecond } = fieldsOf(said);
  const { [instance]: tier = given.tier } = fieldsOf(tiers);
  const isWithin = (value: unknown, min: number, max: number): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
  if (!isWithin(afterMs, FAILOVER_AFTER_MS_MIN, FAILOVER_AFTER_MS_MAX))
    return `afterMs must be a whole number from ${FAILOVER_AFTER_MS_MIN} to ${FAILOVER_AFTER_MS_MAX}, not ${JSON.stringify(afterMs)}`;
  // A lease is renewed every quarter of its time, and one renewal may be late.
  if (afterMs * 2 < leaseMs) return `afterMs must be at least half of the lease of ${leaseMs} ms, not ${afterMs}`;
  if (!isWithin(drainMs, 0, SWITCHOVER_DRAIN_MS_MAX))
    return `drainMs must be a whole number from 0 to ${SWITCHOVER_DRAIN_MS_MAX}, not ${JSON.stringify(drainMs)}`;
  if (!isWithin(tier, 0, PROMOTION_TIER_MAX))
    return `tiers.${instance} must be a whole number from 0 to ${PROMOTION_TIER_MAX}, not ${JSON.stringify(tier)}`;
  if (!isWithin(warmPagesPerSecond, 0, WARM_PAGES_PER_SECOND_MAX))
    return `warmPagesPerSecond must be a whole number from 0 to ${WARM_PAGES_PER_SECOND_MAX}, not ${JSON.stringify(warmPagesPerSecond)}`;
  return { tier, failoverAfterMs: afterMs, drainMs, warmPagesPerSecond };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
