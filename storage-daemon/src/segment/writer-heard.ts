import type { Clock } from '@kube-aurora/clock';
import type { WriterSeen, WriterSign } from '@kube-aurora/rpc';
import type { LeaseHolder } from '@kube-aurora/volume';
import type { CurrentControl } from './current-control.ts';

/**
 * Which writer a segment obeys, when it heard it last, and whether it is gone by its own word: computes that would take
 * its place go by that. It decides nothing here, and no promise, acknowledgement or lease rests on it.
 *
 * Invariants: silence is counted by the monotonic clock from the last word of the very writer whose epoch is promised,
 * and after a restart, or where none was heard, from the daemon's start or the promise, so that a segment that
 * cannot know takes the writer for one that may have spoken a moment ago. Nothing of it is written to the disk:
 * that a writer has given its lease back stands in the control file already, by the lease that is no longer noted.
 */
const MS_MAX = 0xffff_ffff;

export class WriterHeard {
  readonly #control: CurrentControl;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #epoch: bigint;
  #writerId: string;
  #promisedAtMs: number;
  #heardAtMs: number;
  /** said: to this process. noted: it must have said so before this process started. */
  #gone: 'no' | 'said' | 'noted';

  /** `onChange`: another writer is obeyed, or the one that is has given its lease back. */
  constructor(control: CurrentControl, clock: Clock, onChange: () => void) {
    this.#control = control;
    this.#clock = clock;
    this.#onChange = onChange;
    const { epoch, writerId, leases } = control.value;
    this.#epoch = epoch;
    this.#writerId = writerId;
    this.#promisedAtMs = clock.now();
    this.#heardAtMs = this.#promisedAtMs;
    // It is noted with its promise.
    const isNoted = leases.some((one) => one.epoch === epoch && one.writerId === writerId);
    this.#gone = writerId === '' || isNoted ? 'no' : 'noted';
    control.watch(() => this.#look());
  }

  /** It said something here. Another writer's words, of an epoch that is over or not promised here, count for nothing. */
  note({ epoch, writerId }: LeaseHolder): void {
    if (epoch !== this.#epoch || writerId !== this.#writerId) return;
    this.#heardAtMs = this.#clock.now();
    if (this.#gone === 'noted') this.#gone = 'no';
  }

  /** Its PostgreSQL is dead, and it does not open the volume anew by itself. */
  gone({ epoch, writerId }: LeaseHolder): void {
    if (this.#gone === 'said' || epoch !== this.#epoch || writerId !== this.#writerId) return;
    this.#gone = 'said';
    this.#onChange();
  }

  /** Undefined while nothing is promised. */
  get seen(): WriterSeen | undefined {
    if (this.#epoch === 0n) return undefined;
    return {
      epoch: this.#epoch,
      writerId: this.#writerId,
      silentMs: this.#since(this.#heardAtMs),
      leaseGivenBack: this.#isGone,
      promisedMs: this.#since(this.#promisedAtMs),
    };
  }

  get sign(): WriterSign {
    return { writerEpoch: this.#epoch, writerSilentMs: this.#since(this.#heardAtMs), writerGaveBack: this.#isGone };
  }

  get #isGone(): boolean {
    return this.#gone !== 'no';
  }

  /** Milliseconds. */
  #since(atMs: number): number {
    return Math.min(MS_MAX, Math.max(0, Math.round(this.#clock.now() - atMs)));
  }

  /** What the control file says from now on, durably. */
  #look(): void {
    const { epoch, writerId } = this.#control.value;
    if (epoch === this.#epoch && writerId === this.#writerId) return;
    this.#epoch = epoch;
    this.#writerId = writerId;
    this.#promisedAtMs = this.#clock.now();
    this.#heardAtMs = this.#promisedAtMs;
    this.#gone = 'no';
    this.#onChange();
  }
}
