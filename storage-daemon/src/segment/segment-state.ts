import type { SegmentState } from '@kube-aurora/rpc';
import type { SegmentControl } from './control-file.ts';
import type { SegmentIdentity } from './segment-identity.ts';
import type { SegmentLifecycle } from './segment-lifecycle.ts';

/** What a segment says of itself, to writers, peers and people. */
export function segmentState(
  { daemonId, zone }: SegmentIdentity,
  control: SegmentControl,
  { phase, scl, storage, pages, fault, bytesUsed, mustRecover }: SegmentLifecycle,
): SegmentState {
  const { role, standIn, ready, epoch, baseEpoch, baseLsn, systemIdentifier, engine, history, recoverToLsn } = control;
  return {
    phase,
    epoch,
    scl,
    lastBatchEpoch: storage?.durable.epoch ?? baseEpoch,
    baseEpoch,
    baseLsn,
    appliedLsn: storage?.appliedLsn ?? 0n,
    vdl: storage?.vdl ?? 0n,
    logStartLsn: storage?.startLsn ?? 0n,
    systemIdentifier,
    engine: ready ? engine : undefined,
    history: history.map((entry) => ({ ...entry })),
    message: fault?.message ?? '',
    daemonId,
    zone,
    pgmrpl: storage?.pgmrpl ?? 0n,
    bytesUsed: BigInt(bytesUsed),
    fault: fault?.fault,
    recoverToLsn: mustRecover ? recoverToLsn : 0n,
    role,
    checkpointLsn: storage?.checkpointLsn ?? 0n,
    logStartEpoch: storage?.start.epoch ?? 0n,
    // Not while its files are being opened: nobody is to count on pages that cannot be had.
    standIn: standIn === undefined || pages === undefined ? undefined : { ...standIn },
    // For whoever asks by Status: peers have no use for them.
    writer: undefined,
    followers: [],
  };
}
