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

/** What is wrong with a segment; decisions are made by this and never by a message. Absent while it is sound. */
export type SegmentFault =
  /** Stopped for a reason without a kind of its own, or one that a later release has. */
  | { kind: 'UNKNOWN' }
  /** Stored bytes fail their check; a copy from a peer mends it. */
  | { kind: 'DAMAGED_DATA'; part: 'page' | 'log' | 'state' | 'control' }
  /** Redo that cannot be applied here, nor by any copy of the same bytes. `page` is '' when the record concerns none. */
  | { kind: 'REDO_FAILED'; lsn: bigint; record: string; page: string }
  /** May have acknowledged redo up to `lsn`, and has it up to `heldLsn`; it is no proof of anything until it has it again. */
  | { kind: 'LOST_REDO'; lsn: bigint; heldLsn: bigint }
  /** Its own epoch history lets `epoch` start at `startLsn`, and redo is durable up to `durableLsn`. */
  | { kind: 'HISTORY_REFUSED'; epoch: bigint; startLsn: bigint; durableLsn: bigint }
  /** Takes no redo until there is room; serves reads and peers. Not damage. */
  | { kind: 'DISK_FULL'; freeBytes: bigint; neededBytes: bigint }
  /** The operating system refused a read or write; `error` is the errno's name. */
  | { kind: 'DISK_ERROR'; error: string; operation: string };

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
  /** For people only. */
  message: string;
  daemonId: string;
  zone: string;
  pgmrpl: bigint;
  bytesUsed: bigint;
  fault: SegmentFault | undefined;
  /** The segment may have acknowledged redo up to here; until its SCL is there it proves nothing. 0n: lost nothing. */
  recoverToLsn: bigint;
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
  /** The batches go on in the next message. Servers put them together before anybody sees them. */
  more?: boolean;
}

export type AppendResult = 'OK' | 'FENCED' | 'GAP' | 'REFUSED' | 'UNWRITABLE';

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
}

export interface GetPeerPageRequest {
  segment: SegmentId;
  key: Buffer;
  lsn: bigint;
}
