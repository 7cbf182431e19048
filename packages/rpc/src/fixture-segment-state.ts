import type { SegmentState } from './index.ts';

/** What tests send of a segment: numbers that only bigints hold among it. */

export const STATE: SegmentState = {
  role: 'FULL',
  checkpointLsn: 0n,
  logStartEpoch: 0n,
  standIn: undefined,
  writer: undefined,
  followers: [],
  phase: 'READY',
  epoch: 7n,
  scl: 0xffff_ffff_ffff_fff0n,
  lastBatchEpoch: 6n,
  baseEpoch: 1n,
  baseLsn: 100n,
  appliedLsn: 5n,
  vdl: 4n,
  logStartLsn: 3n,
  systemIdentifier: 2n ** 63n + 1n,
  engine: { engine: 'postgres', major: 18 },
  history: [
    { epoch: 1n, startLsn: 100n },
    { epoch: 6n, startLsn: 2n ** 60n },
  ],
  message: '',
  daemonId: 'd0',
  zone: 'zone-a',
  pgmrpl: 1n,
  bytesUsed: 9n,
  fault: { kind: 'LOST_REDO', lsn: 2n ** 63n + 5n, heldLsn: 3n },
  recoverToLsn: 2n ** 63n + 5n,
};
export const SEGMENT = { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 };
