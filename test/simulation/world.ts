import { SeededRandom } from '../faults/random.ts';
import { PLAIN_MIX, type Mix } from './mix.ts';

/**
 * Everything that happens in one simulated run: a queue of events in virtual time, and the seed that decides what
 * comes.
 *
 * Invariant: nothing in a run depends on the machine it runs on. No real timer, thread, socket or file is waited for,
 * so between two events only promises' own steps run, and those are all done when the process's event loop has turned
 * once. The same seed therefore gives the same run, event by event.
 */

export interface Owner {
  /** Moves when the machine dies: what it had in mind dies with it. */
  readonly life: number;
  /** A stopped machine (SIGSTOP) gets its events when it goes on. */
  readonly pausedUntil: number;
}

interface Event {
  at: number;
  readonly order: number;
  readonly work: () => void;
  readonly owner: Owner | undefined;
  readonly life: number;
  cancelled: boolean;
  /** Its owner was stopped when it was due. */
  isPutOff: boolean;
}

const TRACE_LINES_MAX = 20_000;

export class World {
  readonly seed: number;
  /** For whoever is not a part of the system: faults, loads, latencies. */
  readonly random: SeededRandom;
  /** For what came into the simulation after many seeds had run: draws from it leave what those seeds meant as it was. */
  readonly aside: SeededRandom;
  readonly mix: Mix;
  readonly #heap: Event[] = [];
  #now = 0;
  #order = 0;
  #trace: string[] = [];
  events = 0;

  constructor(seed: number, mix: Mix = PLAIN_MIX) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
    this.aside = new SeededRandom(Math.imul(seed + 1, 0x1656_67b1));
    this.mix = mix;
  }

  /** Milliseconds since the run began. */
  get now(): number {
    return this.#now;
  }

  /** The last lines that were noted, oldest first. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  note(who: string, what: string): void {
    if (this.#trace.length >= TRACE_LINES_MAX) this.#trace = this.#trace.slice(TRACE_LINES_MAX / 2);
    this.#trace.push(`${(this.#now / 1000).toFixed(4).padStart(9)} ${who.padEnd(9)} ${what}`);
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  /** Between the two, with as much weight on each order of magnitude. */
  spread(min: number, max: number, random = this.random): number {
    return min * (max / min) ** random.next();
  }

  /** Runs `work` at now + ms; never, when `owner` dies before. Gives what takes it back. */
  after(ms: number, work: () => void, owner?: Owner): () => void {
    const event: Event = {
      at: this.#now + Math.max(0, ms),
      order: this.#order++,
      work,
      owner,
      life: owner?.life ?? 0,
      cancelled: false,
      isPutOff: false,
    };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** What was put off until `owner` would go on is due: it goes on now. */
  resumed(owner: Owner): void {
    const due = this.#heap.filter((event) => event.owner === owner && event.isPutOff);
    if (due.length === 0) return;
    const rest = this.#heap.filter((event) => !due.includes(event));
    this.#heap.length = 0;
    for (const event of due) event.at = this.#now;
    for (const event of [...rest, ...due]) this.#push(event);
  }

  /** Resolves at now + ms. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /**
   * Runs events until `until` holds after one of them, or virtual time has reached `deadline`; `afterEach` is called
   * after each, with whom it happened to.
   */
  async run(deadline: number, afterEach: (owner: Owner | undefined) => void, until: () => boolean = () => false): Promise<void> {
    for (let event = this.#next(deadline); event !== undefined; event = this.#next(deadline)) {
      this.#now = Math.max(this.#now, event.at);
      const { owner } = event;
      if (event.cancelled || (owner !== undefined && owner.life !== event.life)) continue;
      if (owner !== undefined && owner.pausedUntil > this.#now) {
        // The same event, not a copy: whoever set it may still take it back.
        event.at = owner.pausedUntil;
        event.isPutOff = true;
        this.#push(event);
        continue;
      }
      this.events++;
      event.work();
      // All steps of promises that this event set off.
      await new Promise(setImmediate);
      afterEach(owner);
      if (until()) return;
    }
    this.#now = deadline;
  }

  /**
   * Nothing happens any more. Node keeps combined signals for as long as somebody listens, which killed machines do for
   * ever, and through them it keeps the world: what was yet to come must not stay with it.
   */
  end(): void {
    this.#heap.length = 0;
  }

  #next(deadline: number): Event | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > deadline) return undefined;
    const last = this.#heap.pop();
    if (last !== undefined && last !== first) {
      this.#heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #sink(): void {
    const heap = this.#heap;
    const event = heap[0];
    if (event === undefined) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      const [a, b] = [heap[left], heap[right]];
      const child = b !== undefined && a !== undefined && isBefore(b, a) ? right : left;
      const below = heap[child];
      if (below === undefined || !isBefore(below, event)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
