import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { EngineRegistry, PageKey } from '@kube-aurora/redo-engine';
import type { Disk } from '../disk/disk.ts';
import type { SegmentEvents } from './content-failures.ts';
import type { SegmentLimits } from './limits.ts';
import type { SegmentIdentity } from './segment-identity.ts';
import type { GivenKeys } from './segment-key.ts';

/** What peers last answered; zeros when none did. */
export interface PeersHighest {
  readonly scl: bigint;
  readonly epoch: bigint;
  /** Does one of them have redo of this volume? */
  readonly isWritten: boolean;
}

/** What a segment is given; who answers for it is told which `Segment` asks. */
export interface SegmentOptions<Segment> {
  readonly directory: string;
  readonly disk: Disk;
  /** Undefined: what it holds stands on the disk as it is. */
  readonly keys: GivenKeys | undefined;
  readonly engines: EngineRegistry;
  readonly identity: SegmentIdentity;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  /** When the daemon started, by the clock's `now`. */
  readonly startedAtMs: number;
  readonly events: SegmentEvents;
  readonly fetchPage: (segment: Segment, page: PageKey, lsn: bigint) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: (segment: Segment) => bigint | undefined;
  /**
   * Full segments that a tail keeps redo for, each with the checkpoint that it, or the tail that stands in for it, said
   * last; 0n while none did.
   */
  readonly fullPeers: readonly { readonly id: string; readonly checkpointLsn: (segment: Segment) => bigint }[];
  readonly highestOfPeers: (segment: Segment) => PeersHighest;
  /** Asks every peer for its state; resolves when all have answered or failed, or soon. */
  readonly askPeers: (segment: Segment) => Promise<void>;
}
