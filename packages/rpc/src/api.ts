import type { Lane, LaneTerms, TakenAppend } from '@kube-aurora/append-lane';

export type { Lane, LaneTerms, TakenAppend };
import type {
  AppendRequest,
  AppendResponse,
  FollowedRedo,
  FollowRequest,
  GetPagesRequest,
  GetPagesResponse,
  PreparedAppend,
} from './hot-messages.ts';
import type {
  CatchUpRequest,
  ComputeImageChunk,
  ComputeImageRequest,
  CopySegmentChunk,
  CopySegmentRequest,
  FetchRedoRequest,
  GetPeerPageRequest,
  GiveBackLeaseRequest,
  GossipRequest,
  ImportBaseRequest,
  LeaseAnswer,
  OpenEpochRequest,
  PageImage,
  RedoChunk,
  RenewLeaseRequest,
  SegmentId,
  SegmentState,
  InstallHistoryRequest,
} from './messages.ts';

/**
 * A storage daemon as its callers see it, whatever carries the messages: frames and gRPC in a cluster, a simulated
 * network in a simulation. Every failure of a call is an AuroraRpcError.
 */

export interface CallOptions {
  /** Milliseconds until the call fails with DEADLINE. */
  deadlineMs: number;
  signal?: AbortSignal;
}

/**
 * The writer's end of an Append stream. Errors arrive as 'error' events: AuroraRpcError. After `cancel` nothing is
 * heard of it.
 */
export interface AppendStream {
  on(event: 'data', listener: (response: AppendResponse) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'drain' | 'end', listener: () => void): unknown;
  once(event: 'error', listener: (error: unknown) => void): unknown;
  /** The first request carries the hello. False when the sender should wait for 'drain'. */
  write(request: AppendRequest | PreparedAppend): boolean;
  /** No more requests follow. */
  end(): unknown;
  cancel(): void;
}

/**
 * The daemon's end of an Append stream. Of several answers that were not sent yet, an OK may give way to a later OK: an
 * SCL covers all before it.
 */
export interface AppendCall {
  on(event: 'data', listener: (request: AppendRequest) => void): unknown;
  /** end: the writer has sent all. cancelled: nobody is at the other end any more. */
  on(event: 'end' | 'cancelled', listener: () => void): unknown;
  write(response: AppendResponse): unknown;
  /** No requests are given until `resume`; how many may wait is bounded, and the writer is held back by it. */
  pause(): unknown;
  resume(): unknown;
  end(): unknown;
  /** Ends the stream: its other end gets the error. */
  fail(error: unknown): unknown;
  /**
   * Lends the stream to whoever carries it: requests that are exactly next are written, synced and acknowledged there, and told to `onTaken` a
   * little later. Undefined where nobody can take it, or not now.
   */
  lend(terms: LaneTerms, onTaken: (taken: readonly TakenAppend[]) => void): Lane | undefined;
  /**
   * Has whoever carries the stream keep the next request back, and what comes behind it, until it is lent or is to be no longer: so all that has come can
   * be dealt with, and the stream be lent, however fast more of it comes. Gives whether it does.
   */
  hold(isToBe: boolean): boolean;
}

/**
 * The reader's end of a Follow stream. Errors arrive as 'error' events: AuroraRpcError. After `cancel` nothing is heard
 * of it.
 */
export interface FollowStream {
  on(event: 'data', listener: (redo: FollowedRedo) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  /** The first request carries the hello. */
  write(request: FollowRequest): unknown;
  cancel(): void;
}

/** The daemon's end of a Follow stream. What it writes waits for the socket: it writes no more than was asked for. */
export interface FollowCall {
  on(event: 'data', listener: (request: FollowRequest) => void): unknown;
  /** end: the reader says no more. cancelled: nobody is at the other end any more. */
  on(event: 'end' | 'cancelled', listener: () => void): unknown;
  write(redo: FollowedRedo): unknown;
  end(): unknown;
  /** Ends the stream: its other end gets the error. */
  fail(error: unknown): unknown;
}

/** The requests of an ImportBase call under way. */
export interface ImportCall {
  on(event: 'error', listener: (error: unknown) => void): unknown;
  once(event: 'drain' | 'error' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'error' | 'close', listener: () => void): unknown;
  write(request: ImportBaseRequest): boolean;
  end(): unknown;
  cancel(): void;
}

/** The compute's view of one storage daemon. */
export interface SegmentApi {
  append(): AppendStream;
  follow(): FollowStream;
  openEpoch(request: OpenEpochRequest, options: CallOptions): Promise<SegmentState>;
  installHistory(request: InstallHistoryRequest, options: CallOptions): Promise<SegmentState>;
  catchUp(request: CatchUpRequest, options: CallOptions): Promise<SegmentState>;
  getPages(request: GetPagesRequest, options: CallOptions): Promise<GetPagesResponse>;
  computeImage(request: ComputeImageRequest, options: CallOptions): AsyncIterable<ComputeImageChunk>;
  importBase(options: CallOptions): { call: ImportCall; answer: Promise<SegmentState> };
  status(segment: SegmentId, options: CallOptions): Promise<SegmentState>;
  renewLease(request: RenewLeaseRequest, options: CallOptions): Promise<LeaseAnswer>;
  giveBackLease(request: GiveBackLeaseRequest, options: CallOptions): Promise<LeaseAnswer>;
  close(): void;
}

/** One storage daemon's view of another. */
export interface PeerApi {
  gossip(request: GossipRequest, options: CallOptions): Promise<SegmentState>;
  fetchRedo(request: FetchRedoRequest, options: CallOptions): AsyncIterable<RedoChunk>;
  copySegment(request: CopySegmentRequest, options: CallOptions): AsyncIterable<CopySegmentChunk>;
  getPeerPage(request: GetPeerPageRequest, options: CallOptions): Promise<PageImage>;
  close(): void;
}
