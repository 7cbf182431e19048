import type { Clock, Timer } from '@kube-aurora/clock';
import { volumeCompleteLsn, type RecordRun } from '@kube-aurora/volume';
import type { Placement } from '../placement.ts';
import { ReadFloor } from '../read-path/read-floor.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import { GroupWriter, type GroupWriterOptions, type VolumePoints } from './group-writer.ts';
import { heartbeatMessage, type SegmentStreamState } from './segment-stream.ts';

/** Segments hear of a new VDL this soon even when no redo follows to carry it. */
const HEARTBEAT_MS = 50;
/**
 * Segments where readers wait hear of it this soon: when the next batch has not carried it by then, and with redo that
 * is kept back for segments which the quorum can do without.
 */
const FOLLOWED_MS = 1;
/**
 * Even when nothing was written: storage takes a compute that says nothing for 30 s for dead, and keeps nothing for it
 * any more.
 */
const IDLE_BEAT_MS = 5000;

export interface VolumeWriterOptions extends Omit<GroupWriterOptions, 'points' | 'onComplete'> {
  readonly placement: Placement;
  /** Lowest LSN that a page read under way may still ask for, or undefined when there is none. */
  readonly oldestRead: () => bigint | undefined;
  /** VDL has moved. */
  readonly onDurable: () => void;
  readonly clock: Clock;
}

/**
 * Makes redo durable in the volume: gives each protection group its records and computes from their PGCLs how far the
 * whole volume is durable.
 *
 * Invariant: VDL is at or below VCL, up to which no group misses anything, and it never goes back. Every record ends a
 * mini-transaction and every PGCL is a record's end, so that VDL is VCL.
 */
export class VolumeWriter implements VolumeView, VolumePoints {
  readonly #options: VolumeWriterOptions;
  readonly #groups = new Map<number, GroupWriter>();
  readonly #writers: readonly GroupWriter[];
  readonly #floor: ReadFloor;
  /** Kept, so that a batch makes no function. */
  readonly #appendTo = (group: number, run: RecordRun): void => this.#group(group).append(run);
  #vdl: bigint;
  #sentLsn: bigint;
  #announcedVdl: bigint;
  #heartbeat: Timer | undefined;
  #idleBeat: Timer | undefined;
  #followedBeat: Timer | undefined;
  #isStopped = false;

  constructor(options: VolumeWriterOptions) {
    this.#options = options;
    this.#vdl = options.startLsn;
    this.#sentLsn = options.startLsn;
    this.#announcedVdl = options.startLsn;
    this.#floor = new ReadFloor(options.oldestRead);
    const { identity, placement } = options;
    for (const pg of placement.groups) {
      const ofGroup = { ...identity, segment: { ...identity.segment, pg } };
      this.#groups.set(pg, new GroupWriter({ ...options, identity: ofGroup, points: this, onComplete: () => this.#completed() }));
    }
    this.#writers = [...this.#groups.values()];
  }

  get vdl(): bigint {
    return this.#vdl;
  }
  get readFloor(): bigint {
    return this.#floor.announced;
  }
  scl(group: number, segment: number): bigint {
    return this.#groups.get(group)?.scl(segment) ?? 0n;
  }
  segment(group: number, index: number): SegmentStreamState {
    return this.#group(group).segment(index);
  }
  /** End of the redo that was sent, durable or not. */
  get sentLsn(): bigint {
    return this.#sentLsn;
  }
  get ringBytes(): number {
    return this.#writers.reduce((sum, writer) => sum + writer.ringBytes, 0);
  }
  /** Does a batch of `bytes` fit, whichever groups it is for? */
  hasRoom(bytes: number): boolean {
    for (const writer of this.#writers) if (!writer.hasRoom(bytes)) return false;
    return true;
  }

  start(): void {
    for (const writer of this.#writers) writer.start();
    this.#beatWhenIdle();
  }

  stop(): void {
    this.#isStopped = true;
    this.#heartbeat?.cancel();
    this.#idleBeat?.cancel();
    this.#followedBeat?.cancel();
    for (const writer of this.#writers) writer.stop();
  }

  /** Sends records, at least one, that follow those sent before. On the path of every commit. */
  append(run: RecordRun): void {
    this.#sentLsn = run.endLsn;
    this.#options.placement.route(run, this.#appendTo);
  }

  announceVdl(): bigint {
    this.#announcedVdl = this.#vdl;
    return this.#announcedVdl;
  }

  announceReadFloor(): bigint {
    return this.#floor.announce(this.#vdl);
  }

  #group(group: number): GroupWriter {
    const writer = this.#groups.get(group);
    if (writer === undefined) throw new RangeError(`protection group ${group} is not one of the volume's`);
    return writer;
  }

  #completed(): void {
    const vcl = volumeCompleteLsn(this.#writers, this.#sentLsn);
    if (vcl <= this.#vdl) return;
    this.#vdl = vcl;
    this.#options.onDurable();
    if (this.#isStopped) return;
    this.#heartbeat ??= this.#options.clock.after(HEARTBEAT_MS, () => this.#beat());
    if (this.#followedBeat === undefined && this.#writers.some((writer) => writer.isFollowed))
      this.#followedBeat = this.#options.clock.after(FOLLOWED_MS, () => this.#tellFollowed());
  }

  #tellFollowed(): void {
    this.#followedBeat = undefined;
    if (this.#isStopped) return;
    // The others hear it with the next batch or beat.
    const message = this.#announcedVdl < this.#vdl ? heartbeatMessage(this.#vdl, this.announceReadFloor()) : undefined;
    for (const writer of this.#writers) writer.tellFollowed(message);
  }

  #beat(): void {
    this.#heartbeat = undefined;
    if (!this.#isStopped && this.#announcedVdl < this.#vdl) this.#announce();
  }

  #beatWhenIdle(): void {
    this.#idleBeat = this.#options.clock.after(IDLE_BEAT_MS, () => {
      this.#announce();
      this.#beatWhenIdle();
    });
  }

  #announce(): void {
    const message = heartbeatMessage(this.announceVdl(), this.announceReadFloor());
    for (const writer of this.#writers) writer.heartbeat(message);
  }
}
