import { AuroraRpcError, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import type { SegmentIdentity } from './segment-identity.ts';
import type { Segment } from './segment.ts';

/**
 * The segments of a daemon. Asking for one that is not there makes nothing: only a promise, an import or a peer's word
 * does.
 */
export interface SegmentDirectory {
  readonly all: () => Iterable<Segment>;
  readonly known: (id: SegmentId) => Segment | undefined;
  /** The segment, made empty when it is not there. Throws AuroraRpcError REFUSED when the daemon holds too many. */
  readonly take: (id: SegmentId) => Promise<Segment>;
  readonly identity: SegmentIdentity;
}

/** Throws AuroraRpcError NOT_READY when there is no such segment. */
export function heldSegment(directory: SegmentDirectory, id: SegmentId): Segment {
  const segment = directory.known(id);
  if (segment === undefined)
    throw new AuroraRpcError('NOT_READY', `this daemon holds nothing of volume ${id.volumeId}, protection group ${id.pg}`);
  return segment;
}

/** What is said of a segment that is not there. */
export function emptyState({ daemonId, zone, role }: SegmentIdentity): SegmentState {
  return {
    phase: 'EMPTY',
    epoch: 0n,
    scl: 0n,
    lastBatchEpoch: 0n,
    baseEpoch: 0n,
    baseLsn: 0n,
    appliedLsn: 0n,
    vdl: 0n,
    logStartLsn: 0n,
    systemIdentifier: 0n,
    engine: undefined,
    history: [],
    message: '',
    daemonId,
    zone,
    pgmrpl: 0n,
    bytesUsed: 0n,
    fault: undefined,
    recoverToLsn: 0n,
    role,
    checkpointLsn: 0n,
    logStartEpoch: 0n,
    standIn: undefined,
    writer: undefined,
    followers: [],
  };
}
