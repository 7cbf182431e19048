/** Sessions that are at work, by what they wait for at this moment. */
export interface WaitingSessions {
  /** `CPU` where they wait for nothing. */
  readonly type: string;
  readonly event: string;
  readonly sessions: number;
}

/** What nothing is waited for: it runs, or would if there were a core for it. */
export const ON_CPU = 'CPU';
export const OTHER_EVENTS = 'other';
/** Wait events that have series of their own. PostgreSQL has some 250, of which a database sees a dozen or two. */
const EVENTS_MAX = 40;
/** Kinds of them (pg_stat_activity.wait_event_type): PostgreSQL 18 has nine. */
const TYPES_MAX = 12;
/** A look that came later than this tells of its own second, and not of all the time since the one before. */
const GAP_S_MAX = 5;
/** What the status says is of this many looks, a minute. */
const RECENT_MAX = 60;

/**
 * Database load as Performance Insights counts it: at each look every session that is at work counts for the time since the look before.
 * The sums are counters, in seconds of sessions: their rate is the number of sessions that were at work on average.
 *
 * A series that counts must keep its name. So the first events to be seen have series for good, and those after them count as
 * `other` of their type.
 */
export class WaitLoad {
  readonly #seconds = new Map<string, { readonly type: string; readonly event: string; seconds: number }>();
  #recent: (readonly WaitingSessions[])[] = [];

  note(sessions: readonly WaitingSessions[], sinceLastS: number): void {
    const seconds = sinceLastS > GAP_S_MAX ? 1 : sinceLastS;
    for (const { type, event, sessions: count } of sessions) this.#of(type, event).seconds += count * seconds;
    this.#recent = [...this.#recent.slice(1 - RECENT_MAX), sessions];
  }

  get totals(): Iterable<{ readonly type: string; readonly event: string; readonly seconds: number }> {
    return this.#seconds.values();
  }

  /** Sessions at work on average in the last minute, most first; undefined before the first look. */
  get recent(): readonly WaitingSessions[] | undefined {
    if (this.#recent.length === 0) return undefined;
    const sums = new Map<string, WaitingSessions>();
    for (const one of this.#recent.flat()) {
      const key = `${one.type}/${one.event}`;
      sums.set(key, { ...one, sessions: (sums.get(key)?.sessions ?? 0) + one.sessions });
    }
    return [...sums.values()]
      .map((one) => ({ ...one, sessions: Math.round((one.sessions / this.#recent.length) * 1000) / 1000 }))
      .sort((a, b) => b.sessions - a.sessions);
  }

  /** What was recent is of a PostgreSQL that is away; the sums stay. */
  forgetRecent(): void {
    this.#recent = [];
  }

  #of(type: string, event: string): { seconds: number } {
    const key = `${type}/${event}`;
    const found = this.#seconds.get(key);
    if (found !== undefined) return found;
    if (this.#seconds.size >= EVENTS_MAX && event !== OTHER_EVENTS) return this.#of(type, OTHER_EVENTS);
    if (this.#seconds.size >= EVENTS_MAX + TYPES_MAX && type !== OTHER_EVENTS) return this.#of(OTHER_EVENTS, OTHER_EVENTS);
    const begun = { type, event, seconds: 0 };
    this.#seconds.set(key, begun);
    return begun;
  }
}
