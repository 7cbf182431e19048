/**
 * The messages of proto/segment.proto and proto/peer.proto as TypeScript sees them. 64-bit fields are bigint, bytes are
 * Buffer, and absent messages are undefined. Field names are the proto's, in camel case.
 */
export interface SegmentId {
  volumeId: string;
  pg: number;
}

export interface EpochStart {
  epoch: bigint;
  startLsn: bigint;
}

export type SegmentPhase = 'EMPTY' | 'IMPORTING' | 'READY' | 'DAMAGED';

export interface SegmentState {
  phase: SegmentPhase;
  epoch: bigint;
  scl: bigint;
  lastBatchEpoch: bigint;
  baseEpoch: bigint;
  baseLsn: bigint;
  appliedLsn: bigint;
  vdl: bigint;
  logStartLsn: bigint;
  systemIdentifier: bigint;
  history: EpochStart[];
  message: string;
  daemonId: string;
  zone: string;
  pgmrpl: bigint;
  bytesUsed: bigint;
}

export interface AppendHello {
  segment: SegmentId;
  epoch: bigint;
  writerId: string;
  history: EpochStart[];
}

export interface AppendRequest {
  hello: AppendHello | undefined;
  /** Whole redo batches, back to back, or undefined when only the points are reported. A view into the received message. */
  batches: Buffer | undefined;
  vdl: bigint;
  pgmrpl: bigint;
}

export type AppendResult = 'OK' | 'FENCED' | 'GAP' | 'REFUSED';

export interface AppendResponse {
  scl: bigint;
  result: AppendResult;
  epoch: bigint;
  message: string;
}

export interface OpenEpochRequest {
  segment: SegmentId;
  epoch: bigint;
  writerId: string;
}

export interface TruncateRequest {
  segment: SegmentId;
  epoch: bigint;
  history: EpochStart[];
}

export interface CatchUpRequest {
  segment: SegmentId;
  lsn: bigint;
}

export interface GetPagesRequest {
  segment: SegmentId;
  epoch: bigint;
  lsn: bigint;
  spcOid: number;
  dbOid: number;
  relNumber: number;
  fork: number;
  block: number;
  count: number;
}

export interface GetPagesResponse {
  present: Buffer;
  pages: Buffer;
  lsn: bigint;
}

export interface ComputeImageRequest {
  segment: SegmentId;
  epoch: bigint;
  lsn: bigint;
}

export interface PageImage {
  key: Buffer;
  page: Buffer;
}

export interface ComputeImageChunk {
  volumeState: Buffer;
  stateComplete: boolean;
  slruPages: PageImage[];
  lsn: bigint;
}

export interface ImportBegin {
  segment: SegmentId;
  epoch: bigint;
  baseLsn: bigint;
  systemIdentifier: bigint;
  volumeState: Buffer;
}

export interface ImportBaseRequest {
  begin: ImportBegin | undefined;
  pages: PageImage[];
  finish: boolean;
}

export interface GossipRequest {
  segment: SegmentId;
  state: SegmentState;
}

export interface FetchRedoRequest {
  segment: SegmentId;
  fromLsn: bigint;
  fromEpoch: bigint;
  toLsn: bigint;
}

export interface RedoChunk {
  batches: Buffer;
}

export interface CopySegmentRequest {
  segment: SegmentId;
}

export interface StoredValue {
  key: Buffer;
  value: Buffer;
}

export interface CopySegmentChunk {
  state: SegmentState | undefined;
  values: StoredValue[];
  markLsn: bigint;
}

export interface GetPeerPageRequest {
  segment: SegmentId;
  key: Buffer;
  lsn: bigint;
}
