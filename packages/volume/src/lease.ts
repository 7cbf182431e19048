/**
 * A writer's lease: the time for which it may answer its clients. Decisions without I/O; every time is of the caller's
 * own monotonic clock, in milliseconds.
 *
 * A write quorum of storage grants a lease, and grants it anew a few times while it lasts. Each side counts it so that
 * storage thinks it live for at least as long as its writer does, as long as no clock runs further from true than
 * CLOCK_DRIFT: the writer from before it asked, storage from when it granted, and for longer.
 *
 * | who     | counts from              | for             |
 * | ------- | ------------------------ | --------------- |
 * | writer  | just before it asked     | leaseMs         |
 * | storage | when it granted          | storageLeaseMs  |
 * | opener  | when it got the answer   | what storage had left of it |
 *
 * Invariants, for a later writer that answers its clients:
 *
 * 1. It has heard a promise quorum, every one of which grants nothing to an earlier writer any more, say which leases of
 *    others it granted that may be live. Any promise and any write quorum share two segments: so it has heard of every
 *    lease that an earlier writer can hold, of the last one and of those before it, also from a quorum of which one
 *    forgot what it granted.
 * 2. Each of them has run out by its own count, or was given back (its PostgreSQL is dead, said whoever had it), or its
 *    PostgreSQL is known to be dead in another way.
 *
 * A read that was answered under a lease was thus current when its answer was let go: nobody later had acknowledged
 * anything by then.
 */
import type { Quorums } from './quorum.ts';

/** No clock's second is shorter or longer than a true one by more than this part of it. */
export const CLOCK_DRIFT = 0.1;

/** How long a lease may be: a writer asks for one of as many milliseconds. */
export const LEASE_MS_MIN = 500;
export const LEASE_MS_MAX = 5000;
export const LEASE_MS_DEFAULT = 2000;

/** So many leases are told apart by one segment. More need as many writers within a lease's time. */
export const LEASES_MAX = 16;

/** Milliseconds for which storage thinks a lease live that it grants for `leaseMs`. */
export function storageLeaseMs(leaseMs: number): number {
  return Math.ceil((leaseMs * (1 + CLOCK_DRIFT)) / (1 - CLOCK_DRIFT));
}

/** Whose a lease is. */
export interface LeaseHolder {
  readonly epoch: bigint;
  /** '': of some writer or writers, nobody knows which. */
  readonly writerId: string;
}

/** A lease as a segment remembers it. */
export interface GrantedLease extends LeaseHolder {
  readonly untilMs: number;
  /** Its PostgreSQL is dead, as whoever had it said. Remembered for as long as somebody may ask. */
  readonly isGivenBack: boolean;
}

/** A lease as a segment tells a later writer of it. */
export interface ReportedLease extends LeaseHolder {
  /** 0 of one that was given back. */
  readonly remainingMs: number;
  readonly isGivenBack: boolean;
}

function isOf(holder: LeaseHolder, { epoch, writerId }: LeaseHolder): boolean {
  return holder.epoch === epoch && holder.writerId === writerId;
}

// The segment's side -------------------------------------------------------------------------------------------------

/** Those that may still be live, or were given back a while ago. */
export function keptLeases(leases: readonly GrantedLease[], now: number): readonly GrantedLease[] {
  return leases.some(({ untilMs }) => untilMs <= now) ? leases.filter(({ untilMs }) => untilMs > now) : leases;
}

/**
 * Grants a lease, or grants it anew. Undefined when it was given back: an asking that came late must not bring it to life
 * again. Others' stay: whoever comes later waits for all of them.
 */
export function grantLease(
  leases: readonly GrantedLease[],
  holder: LeaseHolder,
  leaseMs: number,
  now: number,
): readonly GrantedLease[] | undefined {
  const own = leases.find((one) => isOf(one, holder));
  if (own?.isGivenBack === true && own.untilMs > now) return undefined;
  const others = keptLeases(leases, now).filter((one) => !isOf(one, holder));
  const untilMs = Math.max(own?.untilMs ?? 0, now + storageLeaseMs(leaseMs));
  return bounded([...others, { epoch: holder.epoch, writerId: holder.writerId, untilMs, isGivenBack: false }]);
}

/** Its PostgreSQL is dead. Said before the first grant, or again, it is as good. */
export function giveBackLease(leases: readonly GrantedLease[], holder: LeaseHolder, now: number): readonly GrantedLease[] {
  const others = keptLeases(leases, now).filter((one) => !isOf(one, holder));
  // For longer than any segment thinks any lease of it live: elsewhere one may be that was not heard of here.
  const untilMs = now + storageLeaseMs(LEASE_MS_MAX);
  return bounded([...others, { epoch: holder.epoch, writerId: holder.writerId, untilMs, isGivenBack: true }]);
}

/** The oldest of too many become one of nobody known, which lasts as long as the longest of them. */
function bounded(leases: readonly GrantedLease[]): readonly GrantedLease[] {
  if (leases.length <= LEASES_MAX) return leases;
  const live = leases.filter(({ isGivenBack }) => !isGivenBack);
  // What is forgotten of those that were given back only makes somebody wait.
  const room = LEASES_MAX - live.length;
  if (room >= 0) return [...live, ...leases.filter(({ isGivenBack }) => isGivenBack).slice(-room || leases.length)];
  const folded = live.slice(0, 1 - room);
  return [unknownLease(Math.max(...folded.map(({ untilMs }) => untilMs))), ...live.slice(folded.length)];
}

/** A lease that may have been granted, nobody knows to whom. */
export function unknownLease(untilMs: number): GrantedLease {
  return { epoch: 0n, writerId: '', untilMs, isGivenBack: false };
}

/** What a later writer is told. */
export function leasesBeside(leases: readonly GrantedLease[], holder: LeaseHolder, now: number): readonly ReportedLease[] {
  return keptLeases(leases, now)
    .filter((one) => !isOf(one, holder))
    .map(({ epoch, writerId, untilMs, isGivenBack }) => ({
      epoch,
      writerId,
      remainingMs: isGivenBack ? 0 : Math.ceil(untilMs - now),
      isGivenBack,
    }));
}

// The writer's side --------------------------------------------------------------------------------------------------

/**
 * Until when a lease holds, given when each segment was asked for the newest grant that it answered with (undefined:
 * never). Undefined while there is none.
 *
 * Invariant: it is counted from the latest time of which a write quorum answered an asking at or after it.
 */
export function leaseUntil(askedAtMs: readonly (number | undefined)[], quorums: Quorums, leaseMs: number): number | undefined {
  let latest: number | undefined;
  for (const candidate of askedAtMs) {
    if (candidate === undefined || (latest !== undefined && candidate <= latest)) continue;
    const granted = quorums.roles.filter((_role, index) => (askedAtMs[index] ?? -Infinity) >= candidate);
    if (quorums.isWrite(granted)) latest = candidate;
  }
  return latest === undefined ? undefined : latest + leaseMs;
}

export type EarlierVerdict =
  /** No earlier writer can answer anybody any more. */
  | { readonly kind: 'none' }
  /** Too few have said what they know. */
  | { readonly kind: 'unheard'; readonly heard: number }
  /** This one may be live. */
  | { readonly kind: 'live'; readonly lease: LeaseHolder; readonly untilMs: number };

/** What a new writer has heard of the leases of earlier ones. */
export class EarlierLeases {
  readonly #quorums: Quorums;
  /** By segment that said so, by holder: until when it may be live, by our clock. */
  readonly #until: (Map<string, { readonly lease: LeaseHolder; readonly untilMs: number }> | undefined)[];
  readonly #givenBack = new Set<string>();
  /** Writers whose PostgreSQL is known to be dead. */
  readonly #isDead: (writerId: string) => boolean;

  constructor(quorums: Quorums, isDead: (writerId: string) => boolean) {
    this.#quorums = quorums;
    this.#isDead = isDead;
    this.#until = quorums.roles.map(() => undefined);
  }

  /**
   * Segment `index` obeys us, and knows of these; the answer came at `now`. What it says later can only shorten what it
   * said first: it grants nothing to earlier writers any more.
   */
  note(index: number, leases: readonly ReportedLease[], now: number): void {
    const before = this.#until[index];
    const heard = new Map<string, { readonly lease: LeaseHolder; readonly untilMs: number }>();
    for (const { epoch, writerId, remainingMs, isGivenBack } of leases) {
      const key = `${epoch} ${writerId}`;
      if (isGivenBack) this.#givenBack.add(key);
      else if (before === undefined || before.has(key))
        heard.set(key, {
          lease: { epoch, writerId },
          untilMs: Math.min(now + remainingMs, before?.get(key)?.untilMs ?? Infinity),
        });
    }
    this.#until[index] = heard;
  }

  verdict(now: number): EarlierVerdict {
    const heard = this.#quorums.roles.filter((_role, index) => this.#until[index] !== undefined);
    if (!this.#quorums.isPromise(heard)) return { kind: 'unheard', heard: heard.length };
    let longest: { readonly lease: LeaseHolder; readonly untilMs: number } | undefined;
    for (const said of this.#until) {
      for (const [key, one] of said ?? []) {
        const isOver = one.untilMs <= now || this.#givenBack.has(key) || this.#isDead(one.lease.writerId);
        if (!isOver && one.untilMs > (longest?.untilMs ?? 0)) longest = one;
      }
    }
    return longest === undefined ? { kind: 'none' } : { kind: 'live', ...longest };
  }
}
