import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError } from '@kube-aurora/rpc';
import {
  giveBackLease,
  grantLease,
  keptLeases,
  LEASE_MS_MAX,
  leasesBeside,
  storageLeaseMs,
  unknownLease,
  type GrantedLease,
  type LeaseHolder,
  type ReportedLease,
} from '@kube-aurora/volume';
import type { NotedLease } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';

/**
 * The leases that a segment granted (packages/volume/src/lease.ts has the rules). What lasts until when is in memory,
 * by the monotonic clock; a grant costs no write.
 *
 * Invariants:
 * - a lease is granted only to the writer whom the segment promised the epoch that it obeys, so that after a promise
 *   no earlier one gets any;
 * - before the first grant to a writer the control file says that it may have one, and how long: with the promise of its
 *   epoch, which is written anyway. A daemon that starts takes every lease that is noted there for granted just before
 *   it died. So a restart forgets none, and no grant waits for the disk;
 * - a segment that starts without a control file may have had one on a disk that is gone: until its daemon has run for
 *   as long as a lease lasts it says that somebody may have one, unless a new volume is imported, which nobody ever
 *   answered from.
 */

export interface LeasesOptions {
  readonly control: CurrentControl;
  /** Throws AuroraRpcError FENCED when the epoch was overtaken. */
  readonly refuseLower: (epoch: bigint) => void;
  readonly clock: Clock;
  /** When the daemon started, by the clock's `now`. */
  readonly startedAtMs: number;
}

export class Leases {
  readonly #options: LeasesOptions;
  #granted: readonly GrantedLease[];

  constructor(options: LeasesOptions) {
    this.#options = options;
    const { control, clock, startedAtMs } = options;
    const now = clock.now();
    this.#granted = control.value.leases.map(({ epoch, writerId, leaseMs }) => ({
      epoch,
      writerId,
      untilMs: now + storageLeaseMs(leaseMs),
      isGivenBack: false,
    }));
    if (control.isNew) this.#granted = keptLeases([unknownLease(startedAtMs + storageLeaseMs(LEASE_MS_MAX))], now);
  }

  /** Those that may be live, and those that were given back a moment ago. */
  get all(): readonly ReportedLease[] {
    return leasesBeside(this.#granted, { epoch: -1n, writerId: '' }, this.#options.clock.now());
  }

  /** Grants a lease; gives what others may have. Throws AuroraRpcError FENCED, NOT_READY. */
  async renew(holder: LeaseHolder, leaseMs: number): Promise<readonly ReportedLease[]> {
    this.#refuse(holder);
    if (!this.#isNoted(holder, leaseMs)) {
      await this.#options.control.exclusive(async () => {
        this.#refuse(holder);
        if (!this.#isNoted(holder, leaseMs)) await this.#options.control.save({ leases: this.notedWith(holder, leaseMs) });
      });
      // Somebody may have been promised a later epoch meanwhile.
      this.#refuse(holder);
    }
    const now = this.#options.clock.now();
    const granted = grantLease(this.#granted, holder, leaseMs, now);
    if (granted === undefined) throw new AuroraRpcError('NOT_READY', `the lease of ${holder.writerId} was given back`);
    this.#granted = granted;
    return leasesBeside(granted, holder, now);
  }

  /**
   * The holder's PostgreSQL is dead. Where nobody was promised a later epoch that is on the disk when it resolves: when
   * all is stopped and started again later, nobody need wait.
   */
  async giveBack(holder: LeaseHolder): Promise<readonly ReportedLease[]> {
    const { control, clock } = this.#options;
    this.#granted = giveBackLease(this.#granted, holder, clock.now());
    if (control.value.writerId === holder.writerId && this.#isNoted(holder, 0))
      await control.exclusive(() => control.save({ leases: this.#noted(holder) }));
    return leasesBeside(this.#granted, holder, clock.now());
  }

  /** What the control file must say before the holder can have a lease of so many milliseconds. */
  notedWith({ epoch, writerId }: LeaseHolder, leaseMs: number): readonly NotedLease[] {
    return [...this.#noted({ epoch, writerId }), { epoch, writerId, leaseMs }];
  }

  /** A new volume was made: nobody has answered anything from it. */
  forgetUnknown(): void {
    this.#granted = this.#granted.filter(({ writerId }) => writerId !== '');
  }

  #refuse({ epoch, writerId }: LeaseHolder): void {
    const { control, refuseLower } = this.#options;
    refuseLower(epoch);
    const { epoch: promised, writerId: promisedTo } = control.value;
    if (epoch === promised && writerId === promisedTo) return;
    throw new AuroraRpcError(
      'NOT_READY',
      `the segment has promised epoch ${promised}${promisedTo === '' ? '' : ` to ${promisedTo}`}; it has not heard yet that epoch ${epoch} is ${writerId}'s`,
    );
  }

  #isNoted({ epoch, writerId }: LeaseHolder, leaseMs: number): boolean {
    return this.#options.control.value.leases.some((one) => one.epoch === epoch && one.writerId === writerId && one.leaseMs >= leaseMs);
  }

  /** What stays noted of others: what may still be live. */
  #noted(except: LeaseHolder): readonly NotedLease[] {
    const live = keptLeases(this.#granted, this.#options.clock.now()).filter(({ isGivenBack }) => !isGivenBack);
    return this.#options.control.value.leases.filter(
      (one) =>
        (one.epoch !== except.epoch || one.writerId !== except.writerId) &&
        live.some(({ epoch, writerId }) => epoch === one.epoch && writerId === one.writerId),
    );
  }
}
