import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { fromServiceError, lowerXmins, NO_XMINS, type StandbyXmins } from '@kube-aurora/rpc';
import { EarlierLeases, leaseUntil, type Quorums } from '@kube-aurora/volume';
import { quorumsOf, type SegmentEndpoint, type WriterIdentity } from '../segments.ts';
import { giveLeasesBack } from './give-leases-back.ts';

/** A lease is renewed so many times while it lasts: three of four may be lost or late. */
const RENEWALS = 4;
/** Until replies may first leave somebody waits for each answer. */
const EAGER_MS = 50;

/** What a segment has heard of readers counts for so long after its last answer. */
const XMINS_MS = 10_000;

/** A time, by the clock's `now`, until which replies may leave, and when storage was asked for it. */
export interface Permit {
  readonly askedAtMs: number;
  readonly untilMs: number;
}

export interface WriterLeaseOptions {
  /** Of the volume's first protection group: who obeys a writer there obeys it everywhere. */
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly leaseMs: number;
  /** Is the PostgreSQL of that earlier writer known to be dead? */
  readonly isDead: (writerId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface WriterLeaseEvents {
  /** Replies may leave until then. Each is later than the one before. */
  readonly onPermit: (permit: Permit) => void;
}

/** What the status and the metrics read of a lease. */
export interface LeaseView {
  /** Milliseconds for which replies may still leave; 0: they wait. */
  readonly remainingMs: number;
  /** How often it ran out after it first held. */
  readonly timesRunOut: number;
  /** For how long replies have waited since; 0 while they leave, or never did. */
  readonly lostMs: number;
  /** Whose lease is waited for, or what else, for people; '' for nothing. */
  readonly waitingFor: string;
}

/**
 * A writer's lease in one epoch: asks every segment for it, again and again, and says until when replies may leave
 * PostgreSQL. packages/volume/src/lease.ts has the rules and why they are enough.
 *
 * Invariants:
 * - replies are permitted only up to a time that a write quorum granted, counted from before it was asked;
 * - and only once no earlier writer can answer anybody any more;
 * - it is given back only when PostgreSQL is dead, after which nothing is permitted.
 */
export class WriterLease implements LeaseView {
  readonly #options: WriterLeaseOptions;
  readonly #events: WriterLeaseEvents;
  readonly #quorums: Quorums;
  readonly #earlier: EarlierLeases;
  readonly #over = new AbortController();
  readonly #held = Promise.withResolvers<boolean>();
  /** By segment, when it was asked for the newest grant that it answered with. */
  readonly #askedAtMs: (number | undefined)[];
  /** By segment, what readers may need, as it said last, and when. */
  readonly #xmins: (StandbyXmins & { readonly atMs: number })[];
  #untilMs: number | undefined;
  #isClear = false;
  /** Wakes who waits for the next look at earlier leases. */
  #look: Timer | undefined;
  #runOut: Timer | undefined;
  timesRunOut = 0;

  constructor(options: WriterLeaseOptions, events: WriterLeaseEvents) {
    this.#options = options;
    this.#events = events;
    this.#quorums = quorumsOf(options.segments);
    this.#earlier = new EarlierLeases(this.#quorums, options.isDead);
    this.#askedAtMs = options.segments.map(() => undefined);
    this.#xmins = options.segments.map(() => ({ ...NO_XMINS, atMs: 0 }));
  }

  /** Resolves true once replies may first leave, false when it was stopped before. */
  get held(): Promise<boolean> {
    return this.#held.promise;
  }

  get remainingMs(): number {
    return this.#untilMs === undefined ? 0 : Math.max(0, this.#untilMs - this.#options.clock.now());
  }

  get lostMs(): number {
    if (this.#untilMs === undefined || this.#over.signal.aborted) return 0;
    return Math.max(0, this.#options.clock.now() - this.#untilMs);
  }

  /**
   * The lowest of what readers' snapshots may need (hot_standby_feedback). Every reader tells every segment, so that one word of
   * one segment is enough, and a segment that has not heard of a reader takes nothing back.
   */
  get standbyXmins(): StandbyXmins {
    const since = this.#options.clock.now() - XMINS_MS;
    return this.#xmins.filter(({ atMs }) => atMs > since).reduce(lowerXmins, NO_XMINS);
  }

  get waitingFor(): string {
    if (this.#over.signal.aborted || this.remainingMs > 0) return '';
    const { clock } = this.#options;
    const verdict = this.#earlier.verdict(clock.now());
    const { copies, promiseNeeds, writeNeeds } = this.#quorums;
    if (!this.#isClear && verdict.kind === 'unheard')
      return `${verdict.heard} of ${copies} segments have said which leases earlier writers may have, ${promiseNeeds} are needed`;
    if (!this.#isClear && verdict.kind === 'live') {
      const { epoch, writerId } = verdict.lease;
      const whose =
        writerId === '' ? 'a lease that a daemon may have granted before it started' : `the lease of writer ${nameOf(writerId)}/${epoch}`;
      return `waiting for ${whose} to run out, ${((verdict.untilMs - clock.now()) / 1000).toFixed(1)} s`;
    }
    return `a write quorum of storage (${writeNeeds} of ${copies}) has not granted the lease, or not renewed it`;
  }

  start(): void {
    for (const endpoint of this.#options.segments) void this.#keep(endpoint);
  }

  /** Asks for nothing more. What was permitted stays so until it runs out. */
  stop(): void {
    this.#over.abort();
    this.#look?.cancel();
    this.#runOut?.cancel();
    this.#held.resolve(false);
  }

  /**
   * PostgreSQL is dead. Resolves when a write quorum has heard so, or soon. `reopens`: it was to be, and we open the volume anew at
   * once, so that no reader need take our place.
   */
  giveBack(reopens = false): Promise<void> {
    this.stop();
    const { identity, epoch } = this.#options;
    return giveLeasesBack({ ...this.#options, segment: identity.segment, leases: [{ epoch, writerId: identity.writerId }], reopens });
  }

  async #keep({ index, id, client }: SegmentEndpoint): Promise<void> {
    const { identity, epoch, leaseMs, clock, logger } = this.#options;
    const { segment, writerId } = identity;
    const { signal } = this.#over;
    while (!signal.aborted) {
      // Before it is sent: however late the answer is, no segment can have granted it before this.
      const askedAtMs = clock.now();
      try {
        const { others, readersXmin, readersCatalogXmin } = await client.renewLease(
          { segment, epoch, writerId, leaseMs },
          { deadlineMs: leaseMs / 2, signal },
        );
        if (signal.aborted) return;
        this.#earlier.note(index, others, clock.now());
        this.#askedAtMs[index] = askedAtMs;
        this.#xmins[index] = { xmin: readersXmin, catalogXmin: readersCatalogXmin, atMs: clock.now() };
        this.#granted();
      } catch (error) {
        if (signal.aborted) return;
        logger.debug({ segment: id, reason: fromServiceError(error, id).message }, 'segment did not grant the lease');
      }
      const everyMs = this.#untilMs === undefined ? EAGER_MS : leaseMs / RENEWALS;
      await clock.sleep(Math.max(EAGER_MS / 2, everyMs - (clock.now() - askedAtMs)), signal);
    }
  }

  #granted(): void {
    const { leaseMs, clock } = this.#options;
    const now = clock.now();
    if (!this.#isClear && !this.#clears(now)) return;
    const untilMs = leaseUntil(this.#askedAtMs, this.#quorums, leaseMs);
    if (untilMs === undefined || untilMs <= (this.#untilMs ?? now)) return;
    this.#untilMs = untilMs;
    this.#events.onPermit({ askedAtMs: untilMs - leaseMs, untilMs });
    this.#held.resolve(true);
    this.#watch();
  }

  /** Can no earlier writer answer anybody any more? Looks again when the longest lease is over, if one is live. */
  #clears(now: number): boolean {
    const verdict = this.#earlier.verdict(now);
    this.#isClear = verdict.kind === 'none';
    this.#look?.cancel();
    if (verdict.kind === 'live') this.#look = this.#options.clock.after(verdict.untilMs - now + 1, () => this.#granted());
    return this.#isClear;
  }

  /** Notes when it runs out. */
  #watch(): void {
    const { clock, logger, epoch } = this.#options;
    this.#runOut?.cancel();
    this.#runOut = clock.after(this.remainingMs + 1, () => {
      if (this.remainingMs > 0) {
        this.#watch();
        return;
      }
      this.timesRunOut++;
      logger.warn({ epoch }, 'the lease ran out: replies wait until a write quorum of storage renews it');
    });
  }
}

/** An instance's name, of the id of a writer. */
function nameOf(writerId: string): string {
  return writerId.split('/', 1)[0] ?? writerId;
}
