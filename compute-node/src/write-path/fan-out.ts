import type { Clock, Timer } from '@kube-aurora/clock';
import type { Quorums, SegmentRole } from '@kube-aurora/volume';
import { LatencyEstimate } from '../read-path/latency-estimate.ts';

/**
 * Who is sent redo when. A commit needs a write quorum, so as many segments as make one are sent each batch at once
 * (four, or the three full ones of mixed copies) and the others get theirs a few milliseconds later, several batches
 * together (deferred copies): a third less work for every commit on all sides, and no less durable. When the quorum is
 * late, all six are sent everything, and those that held it up change places with the others.
 *
 * Invariants:
 * - what is deferred is sent within DEFER_MS, or as soon as it passes DEFERRED_BYTES_MAX: no segment falls far behind;
 * - a batch waits for the quorum no longer than `hedgeMs` before every segment that can be sent it has been.
 */

/** The rest of the quorum's copies may be this much older. */
const DEFER_MS = 25;
const DEFERRED_BYTES_MAX = 256 * 1024;
const HEDGE_MIN_MS = 2;

/** A segment as the fan-out sees it. */
export interface Sink {
  readonly zone: string;
  readonly role: SegmentRole;
  /** Can it be sent redo at all? */
  readonly isStreaming: boolean;
  /** It holds everything up to here. */
  readonly scl: bigint;
  /** Sends all it has not been sent. */
  pump(): void;
}

/**
 * First one of each zone (the full one, where copies are mixed), then the others: losing a zone takes at most two of
 * the first four with it. Both parts keep their order.
 */
export function byZone<S extends { readonly zone: string; readonly role: SegmentRole }>(sinks: readonly S[]): S[] {
  const fullFirst = [...sinks.filter(({ role }) => role === 'FULL'), ...sinks.filter(({ role }) => role === 'TAIL')];
  const isFirst = (sink: S, index: number): boolean => fullFirst.findIndex((one) => one.zone === sink.zone) === index;
  return [...fullFirst.filter(isFirst), ...fullFirst.filter((sink, index) => !isFirst(sink, index))];
}

/** The order after some were late: they go last, the others move up. */
export function demote<S>(order: readonly S[], isLate: (sink: S) => boolean): S[] {
  return [...order.filter((sink) => !isLate(sink)), ...order.filter(isLate)];
}

export interface FanOutOptions {
  readonly sinks: readonly Sink[];
  /** Who must hold a batch: as many are sent it at once. */
  readonly quorums: Quorums;
  readonly clock: Clock;
}

export class FanOut {
  readonly #options: FanOutOptions;
  readonly #latency = new LatencyEstimate();
  /** The first of these that can be sent anything are sent it at once, as many as make a write quorum. */
  #order: Sink[];
  #deferredBytes = 0;
  #deferredSinceMs: number | undefined;
  /** A batch on its way to the quorum, by its end. One at a time is timed. */
  #timed: { readonly endLsn: bigint; readonly sentAtMs: number } | undefined;
  /** The timed batch took too long: everything goes to everyone until it is through. */
  #isLate = false;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: FanOutOptions) {
    this.#options = options;
    this.#order = byZone(options.sinks);
  }

  /** How long a batch may take before all are sent it: longer than nearly all do. */
  get hedgeMs(): number {
    return Math.min(Math.max(this.#latency.p99Ms, HEDGE_MIN_MS), DEFER_MS);
  }

  /** There is a new batch of `bytes` that ends at `endLsn`. */
  pushed(endLsn: bigint, bytes: number): void {
    const now = this.#options.clock.now();
    this.#timed ??= { endLsn, sentAtMs: now };
    let full = 0;
    let all = 0;
    for (const sink of this.#order) {
      if (!sink.isStreaming || (!this.#isLate && this.#options.quorums.isWriteOf(full, all))) continue;
      sink.pump();
      all++;
      if (sink.role === 'FULL') full++;
    }
    this.#deferredBytes += bytes;
    this.#deferredSinceMs ??= now;
    if (this.#isLate || this.#deferredBytes > DEFERRED_BYTES_MAX) this.#sendDeferred();
    this.#arm(now);
  }

  /** The quorum holds everything up to `lsn`. */
  durable(lsn: bigint): void {
    if (this.#timed === undefined || lsn < this.#timed.endLsn) return;
    this.#latency.observe(this.#options.clock.now() - this.#timed.sentAtMs);
    this.#timed = undefined;
    this.#isLate = false;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(now: number): void {
    if (this.#timer !== undefined) return;
    const dueAtMs = Math.min(
      this.#deferredSinceMs === undefined ? Infinity : this.#deferredSinceMs + DEFER_MS,
      this.#timed === undefined || this.#isLate ? Infinity : this.#timed.sentAtMs + this.hedgeMs,
    );
    if (dueAtMs === Infinity) return;
    this.#timer = this.#options.clock.after(Math.max(1, dueAtMs - now), () => this.#look());
  }

  /** The timer was for a batch that the quorum has long since, nearly always. */
  #look(): void {
    const { clock } = this.#options;
    const now = clock.now();
    if (this.#isTimedDue(now) || this.#isDeferredDue(now)) {
      // An agent that was kept waiting for a core itself first hears the answers that have arrived: nobody is late
      // because it was.
      clock.soon(() => this.#due());
      return;
    }
    this.#timer = undefined;
    this.#arm(now);
  }

  /** Has the quorum kept the timed batch waiting for too long? */
  #isTimedDue(now: number): boolean {
    return this.#timed !== undefined && !this.#isLate && now - this.#timed.sentAtMs >= this.hedgeMs;
  }

  #isDeferredDue(now: number): boolean {
    return this.#deferredSinceMs !== undefined && now - this.#deferredSinceMs >= DEFER_MS;
  }

  #due(): void {
    if (this.#isStopped) return;
    this.#timer = undefined;
    const now = this.#options.clock.now();
    const timed = this.#timed;
    if (timed !== undefined && this.#isTimedDue(now)) {
      this.#isLate = true;
      const prompt = this.#prompt();
      this.#order = demote(this.#order, (sink) => prompt.has(sink) && sink.scl < timed.endLsn);
      this.#sendDeferred();
    } else if (this.#isDeferredDue(now)) this.#sendDeferred();
    this.#arm(now);
  }

  /** Who is sent a batch at once. */
  #prompt(): ReadonlySet<Sink> {
    const prompt: Sink[] = [];
    for (const sink of this.#order) {
      if (sink.isStreaming && !this.#options.quorums.isWrite(prompt.map(({ role }) => role))) prompt.push(sink);
    }
    return new Set(prompt);
  }

  #sendDeferred(): void {
    this.#deferredBytes = 0;
    this.#deferredSinceMs = undefined;
    for (const sink of this.#order) if (sink.isStreaming) sink.pump();
  }
}
