// Made from proto/*.proto by `npm run proto:generate`: change those, not this.

import type { EpochStart } from '@kube-aurora/volume';
import type { SegmentFault } from './segment-fault.ts';
import type { SegmentRole } from '@kube-aurora/volume';

/** 64-bit fields are bigint, bytes are Buffer, and what is absent is undefined. */

export type StandInReason = 'SILENT' | 'EMPTY' | 'DAMAGED' | 'UNWRITABLE';

export type SegmentPhase = 'EMPTY' | 'IMPORTING' | 'READY' | 'DAMAGED';

export interface SegmentId {
  /** UUID */
  volumeId: string;
  /** protection group index */
  pg: number;
}

/** Whose redo, pages and state a volume has; a daemon must have that engine to hold it. */
export interface VolumeEngine {
  /** 'postgres' */
  engine: string;
  /** its major version: layouts differ between them */
  major: number;
}

/** A tail that holds pages, while its zone's full segment is away. It is a tail all the same: nothing is counted by it. */
export interface StandIn {
  /** daemon of that full segment */
  of: string;
  /** when it had all pages */
  sinceUnixMs: bigint;
  reason: StandInReason;
}

export interface SegmentState {
  phase: SegmentPhase;
  /** volume epoch: lower ones are refused */
  epoch: bigint;
  /** end of the last batch held without a gap */
  scl: bigint;
  /** epoch that wrote that batch (base_epoch when there is none) */
  lastBatchEpoch: bigint;
  /** epoch of the import this segment stands on */
  baseEpoch: bigint;
  baseLsn: bigint;
  /** pages and state can be read up to here */
  appliedLsn: bigint;
  /** highest VDL heard of */
  vdl: bigint;
  /** redo can be fetched from here */
  logStartLsn: bigint;
  systemIdentifier: bigint;
  history: EpochStart[];
  /** for people only */
  message: string;
  daemonId: string;
  zone: string;
  pgmrpl: bigint;
  bytesUsed: bigint;
  fault: SegmentFault | undefined;
  /** until its SCL is there it makes no promise and proves nothing; 0: it lost nothing */
  recoverToLsn: bigint;
  /** of the volume; absent while the segment is empty, and from releases that had only PostgreSQL 18 */
  engine: VolumeEngine | undefined;
  role: SegmentRole;
  /** stored pages have all redo up to here, durably; 0 of a tail without pages */
  checkpointLsn: bigint;
  /** of the batch that ends at log_start_lsn */
  logStartEpoch: bigint;
  /** of a tail that holds pages */
  standIn: StandIn | undefined;
  /** absent while it has promised nothing; in answers to Status alone */
  writer: WriterSeen | undefined;
  /** one of each compute that follows it; in answers to Status alone */
  followers: SeenFollower[];
}

/** The writer that a segment obeys, and when it heard it last: for elections of another, which are about liveness alone. */
export interface WriterSeen {
  epoch: bigint;
  /** '': known of peers alone */
  writerId: string;
  /** since it opened the epoch, sent redo or renewed its lease here; or since the daemon started */
  silentMs: number;
  /** its PostgreSQL is dead, and it does not open the volume anew by itself */
  leaseGivenBack: boolean;
  /** since that epoch was promised here; or since the daemon started */
  promisedMs: number;
}

/** A reader that follows a segment. */
export interface SeenFollower {
  computeId: string;
  /** 0 to 15, 0 becomes the writer first; 255: never */
  promotionTier: number;
  /** it has taken all redo up to here */
  takenLsn: bigint;
  silentMs: number;
}

export interface OpenEpochRequest {
  segment: SegmentId;
  epoch: bigint;
  /** the same writer may repeat itself; another one gets EPOCH_TAKEN */
  writerId: string;
  /** what the segment is to the writer */
  role: SegmentRole;
  /** no lease that it will ask for is longer: noted with the promise; 0: it did not say */
  leaseMs: number;
}

export interface InstallHistoryRequest {
  segment: SegmentId;
  epoch: bigint;
  /** whole, ascending; the last entry is (epoch, start of the new epoch) */
  history: EpochStart[];
}

export interface CatchUpRequest {
  segment: SegmentId;
  lsn: bigint;
}

export interface ComputeImageRequest {
  segment: SegmentId;
  epoch: bigint;
  lsn: bigint;
}

export interface ComputeImageChunk {
  /** encodeVolumeState (packages/redo); whole, in the first chunk or split over the first few */
  volumeState: Buffer;
  stateComplete: boolean;
  slruPages: PageImage[];
}

export interface PageImage {
  /** as the volume's engine makes it */
  key: Buffer;
  /** of its page size */
  page: Buffer;
}

export interface ImportBaseRequest {
  begin: ImportBegin | undefined;
  pages: PageImage[];
  finish: boolean;
}

export interface ImportBegin {
  segment: SegmentId;
  epoch: bigint;
  baseLsn: bigint;
  systemIdentifier: bigint;
  volumeState: Buffer;
  /** whose redo the volume will have; absent from releases that had only PostgreSQL 18 */
  engine: VolumeEngine | undefined;
  /** what the segment will be: a tail is sent no pages */
  role: SegmentRole;
}

/** Asked over frames (frames.md), answered with a LeaseAnswer. */
export interface RenewLeaseRequest {
  segment: SegmentId;
  epoch: bigint;
  /** as in OpenEpoch */
  writerId: string;
  /** the writer counts it from before it asked, the segment from when it grants, and for longer */
  leaseMs: number;
}

export interface GiveBackLeaseRequest {
  segment: SegmentId;
  epoch: bigint;
  writerId: string;
  /** it opens the volume anew at once, by itself: nobody need take its place */
  reopens: boolean;
}

export interface LeaseAnswer {
  /** of other writers and epochs; after a restart also what may have been granted before it */
  others: Lease[];
  /**
   * What readers that the segment hears may still see (hot_standby_feedback), so that the writer vacuums nothing of it: the lowest of
   * their oldest transaction ids, with epochs as PostgreSQL's FullTransactionId; 0: none is held back for.
   */
  readersXmin: bigint;
  readersCatalogXmin: bigint;
}

export interface Lease {
  epoch: bigint;
  /** '': of nobody known */
  writerId: string;
  /** of the time for which the segment thinks it live */
  remainingMs: number;
  /** its PostgreSQL is dead, on whichever segment it may still look live */
  isGivenBack: boolean;
}

export interface GossipRequest {
  segment: SegmentId;
  state: SegmentState;
}

export interface FetchRedoRequest {
  segment: SegmentId;
  fromLsn: bigint;
  /** epoch of the batch that ends at from_lsn; a mismatch is refused (INVALID) */
  fromEpoch: bigint;
  /** the last batch wanted is the one that reaches it; 0: all */
  toLsn: bigint;
}

export interface RedoChunk {
  /** whole redo batches, one after another */
  batches: Buffer;
}

export interface CopySegmentRequest {
  segment: SegmentId;
}

export interface CopySegmentChunk {
  /** first chunk only: what the copy stands for */
  state: SegmentState | undefined;
  values: StoredValue[];
}

export interface StoredValue {
  key: Buffer;
  /** as stored, with its CRC */
  value: Buffer;
}

export interface GetPeerPageRequest {
  segment: SegmentId;
  key: Buffer;
  lsn: bigint;
}

/** Every message by its name. */
export interface Messages {
  SegmentId: SegmentId;
  VolumeEngine: VolumeEngine;
  EpochStart: EpochStart;
  SegmentFault: SegmentFault;
  StandIn: StandIn;
  SegmentState: SegmentState;
  WriterSeen: WriterSeen;
  SeenFollower: SeenFollower;
  OpenEpochRequest: OpenEpochRequest;
  InstallHistoryRequest: InstallHistoryRequest;
  CatchUpRequest: CatchUpRequest;
  ComputeImageRequest: ComputeImageRequest;
  ComputeImageChunk: ComputeImageChunk;
  PageImage: PageImage;
  ImportBaseRequest: ImportBaseRequest;
  ImportBegin: ImportBegin;
  RenewLeaseRequest: RenewLeaseRequest;
  GiveBackLeaseRequest: GiveBackLeaseRequest;
  LeaseAnswer: LeaseAnswer;
  Lease: Lease;
  GossipRequest: GossipRequest;
  FetchRedoRequest: FetchRedoRequest;
  RedoChunk: RedoChunk;
  CopySegmentRequest: CopySegmentRequest;
  CopySegmentChunk: CopySegmentChunk;
  StoredValue: StoredValue;
  GetPeerPageRequest: GetPeerPageRequest;
}
