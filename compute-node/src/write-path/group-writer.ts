import type { Clock } from '@kube-aurora/clock';
import { encodeAppendRequest } from '@kube-aurora/rpc';
import { QuorumTracker, RedoRing, sealRedoBatch, type RecordRun, type EpochStart } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import { quorumsOf, type SegmentEndpoint, type WriterIdentity } from '../segments.ts';
import { FanOut } from './fan-out.ts';
import { SegmentStream, type SegmentStreamState } from './segment-stream.ts';

/** What the volume tells all of its segments, with redo or without. */
export interface VolumePoints {
  readonly vdl: bigint;
  /** VDL, as from now on known to the segments. */
  announceVdl(): bigint;
  /** The read floor, as from now on known to the segments: reads that begin later are at or above it. */
  announceReadFloor(): bigint;
}

export interface GroupWriterOptions {
  /** The group's segments. */
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly history: readonly EpochStart[];
  /** X: redo of this epoch follows it. */
  readonly startLsn: bigint;
  /** Epoch of the batch that ends at X. */
  readonly previousEpoch: bigint;
  readonly ringBytesMax: number;
  readonly points: VolumePoints;
  /** The group is complete up to a later LSN than before. */
  readonly onComplete: () => void;
  readonly onFenced: (message: string) => void;
  /** A segment acknowledged a batch so many seconds after it was sent there. */
  readonly onTook?: ((segment: SegmentEndpoint, seconds: number) => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const NO_STREAM: SegmentStreamState = { phase: 'stopped', scl: 0n, errors: 0, lastError: '', isUnwritable: false, inFlightBytes: 0 };

/**
 * Makes redo durable in one protection group: records → batches → ring → six streams → quorum.
 *
 * Invariant: PGCL is passed only by what a write quorum holds on disk in our epoch (QuorumTracker).
 */
export class GroupWriter {
  readonly #options: GroupWriterOptions;
  readonly #ring: RedoRing;
  readonly #tracker: QuorumTracker;
  readonly #streams: SegmentStream[];
  readonly #fanOut: FanOut;
  #previousEpoch: bigint;
  #isStopped = false;

  constructor(options: GroupWriterOptions) {
    this.#options = options;
    const { segments, identity, epoch, history, startLsn, points, clock, logger } = options;
    this.#ring = new RedoRing(startLsn, options.ringBytesMax);
    const quorums = quorumsOf(segments);
    // A write quorum held X when the volume was opened.
    this.#tracker = new QuorumTracker(startLsn, quorums);
    this.#previousEpoch = options.previousEpoch;
    this.#streams = segments.map(
      (endpoint) =>
        new SegmentStream(endpoint, {
          identity,
          epoch,
          history,
          ring: this.#ring,
          vdl: () => points.vdl,
          // Announced, not just told: reads that begin later must be at or above it.
          pgmrpl: () => points.announceReadFloor(),
          onAcknowledged: (segment, scl) => this.#acknowledged(segment, scl),
          onFenced: options.onFenced,
          onTook: options.onTook,
          clock,
          logger,
        }),
    );
    this.#fanOut = new FanOut({ sinks: this.#streams, quorums, clock });
  }

  /** PGCL: a write quorum holds all of the group's redo up to here. */
  get pgcl(): bigint {
    return this.#tracker.point;
  }
  /** End of the group's redo, durable or not. */
  get sentLsn(): bigint {
    return this.#ring.endLsn;
  }
  get ringBytes(): number {
    return this.#ring.bytes;
  }
  hasRoom(bytes: number): boolean {
    return this.#ring.hasRoom(bytes, this.#tracker.point);
  }

  /** Highest SCL known of a segment, 0n while it cannot be spoken to. */
  scl(segment: number): bigint {
    const stream = this.#streams[segment];
    return stream === undefined || stream.isAway ? 0n : stream.scl;
  }

  segment(index: number): SegmentStreamState {
    return this.#streams[index]?.state ?? NO_STREAM;
  }

  start(): void {
    for (const stream of this.#streams) stream.start();
  }

  /** Nothing is sent from here on, and PGCL stays where it is. */
  stop(): void {
    this.#isStopped = true;
    for (const stream of this.#streams) stream.stop();
    this.#fanOut.stop();
  }

  /** Sends records, at least one, as one batch that follows the last. On the path of every commit. */
  append(run: RecordRun): void {
    const { identity, epoch, points } = this.#options;
    const backlink = this.#ring.endLsn;
    const { endLsn } = run;
    // The batch lies in the run's memory, which is used again: the message is a copy.
    const batch = sealRedoBatch(run, { pg: identity.segment.pg, epoch, backlink, previousEpoch: this.#previousEpoch });
    const message = encodeAppendRequest([batch], points.announceVdl(), points.announceReadFloor());
    this.#ring.push({ backlink, endLsn, message });
    this.#previousEpoch = epoch;
    this.#fanOut.pushed(endLsn, message.length);
  }

  /** Tells the segments the present points when there is no redo to carry them. */
  heartbeat(message: Buffer): void {
    for (const stream of this.#streams) stream.heartbeat(message);
  }

  /** Do readers wait for what becomes durable? */
  get isFollowed(): boolean {
    return this.#streams.some((stream) => stream.isFollowed);
  }

  /** Those segments where readers wait get what was kept for later, and the points where nothing else carries them. */
  tellFollowed(message: Buffer | undefined): void {
    for (const stream of this.#streams) {
      if (!stream.isFollowed) continue;
      stream.pump();
      if (message !== undefined) stream.heartbeat(message);
    }
  }

  #acknowledged(segment: number, scl: bigint): void {
    if (this.#isStopped || !this.#tracker.acknowledge(segment, scl)) return;
    this.#fanOut.durable(this.#tracker.point);
    this.#options.onComplete();
  }
}
