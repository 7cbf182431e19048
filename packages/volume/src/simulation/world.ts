/**
 * A world driven by one seed: a clock that jumps from event to event, and a network that delays, reorders, loses and
 * partitions. The same seed gives the same run.
 */
export class World {
  readonly random: () => number;
  now = 0;
  readonly #queue: { at: number; order: number; run: () => void }[] = [];
  #order = 0;
  /** Nodes that are cut off from all others. */
  readonly isolated = new Set<string>();
  /** Pairs of nodes, `a|b`, whose messages are lost, in the direction from a to b. */
  readonly cutLinks = new Set<string>();
  /** Nodes whose events wait until this time (SIGSTOP). */
  readonly pausedUntil = new Map<string, number>();
  lossRate = 0;

  constructor(seed: number) {
    let state = seed >>> 0;
    // mulberry32
    this.random = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    };
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** A whole number from 0 to n - 1. */
  pick(n: number): number {
    return Math.floor(this.random() * n);
  }

  after(delay: number, run: () => void): void {
    this.#queue.push({ at: this.now + delay, order: this.#order++, run });
  }

  /** Delivers to `to` after a random while, or never. A paused receiver gets it when it goes on. */
  send(from: string, to: string, deliver: () => void): void {
    if (this.isolated.has(from) || this.isolated.has(to) || this.cutLinks.has(`${from}|${to}`) || this.chance(this.lossRate)) return;
    this.after(1 + this.random() * (this.chance(0.05) ? 200 : 10), () => this.#arrive(to, deliver));
  }

  #arrive(to: string, deliver: () => void): void {
    const until = this.pausedUntil.get(to) ?? 0;
    if (until > this.now) this.after(until - this.now + this.random(), () => this.#arrive(to, deliver));
    else if (!this.isolated.has(to)) deliver();
  }

  /** Runs events up to the time. */
  runUntil(end: number): void {
    for (;;) {
      let next = -1;
      for (let index = 0; index < this.#queue.length; index++) {
        const candidate = this.#queue[index];
        const best = next < 0 ? undefined : this.#queue[next];
        if (candidate === undefined || candidate.at > end) continue;
        if (best === undefined || candidate.at < best.at || (candidate.at === best.at && candidate.order < best.order)) next = index;
      }
      const event = this.#queue[next];
      if (event === undefined) break;
      const last = this.#queue.pop();
      if (last !== undefined && last !== event) this.#queue[next] = last;
      this.now = Math.max(this.now, event.at);
      event.run();
    }
    this.now = end;
  }
}
