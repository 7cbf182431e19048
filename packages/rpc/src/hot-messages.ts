import type { EpochStart, SegmentRole } from '@kube-aurora/volume';
import type { SegmentId } from './messages.ts';

/** What goes over frames (proto/frames.md), as programs see it. */

/** In the order of their numbers on the wire. */
export const SEGMENT_ROLES: readonly SegmentRole[] = ['FULL', 'TAIL'];

export interface AppendHello {
  segment: SegmentId;
  epoch: bigint;
  writerId: string;
  /** A segment that was away during InstallHistory annuls now. */
  history: EpochStart[];
  /** What the segment is to the writer. */
  role: SegmentRole;
}

export interface AppendRequest {
  /** The first request of a stream carries it, no other does. */
  hello: AppendHello | undefined;
  /** Redo batches, back to back; layout in packages/volume/src/redo-batch.ts. */
  batches: Buffer | undefined;
  /** Everything at or below is durable on a write quorum and may be applied. */
  vdl: bigint;
  /** No compute reads below this. */
  pgmrpl: bigint;
}

/** A request without a hello that was encoded once and goes to all segments as it is: see encodeAppendRequest. */
export type PreparedAppend = Buffer;

/** In the order of their numbers on the wire. */
export const APPEND_RESULTS = ['OK', 'FENCED', 'GAP', 'REFUSED', 'UNWRITABLE'] as const;
/**
 * GAP: a batch's backlink is past SCL: the sender goes on from SCL, or leaves it to gossip. REFUSED: malformed or
 * damaged on the way; the message says which field. UNWRITABLE: nothing is taken at present, the disk is full or fails;
 * VDL and PGMRPL are heard.
 */
export type AppendResult = (typeof APPEND_RESULTS)[number];

export interface AppendResponse {
  scl: bigint;
  result: AppendResult;
  epoch: bigint;
  message: string;
}

export interface GetPagesRequest {
  segment: SegmentId;
  epoch: bigint;
  lsn: bigint;
  /** 1 to 256 page keys, as the volume's engine makes them (PostgreSQL: encodePageKey in packages/redo). */
  keys: Buffer[];
}

export interface GetPagesResponse {
  /** One byte a key, in the request's order: 1 the page exists at that LSN, 0 it does not (its bytes are zeros). */
  present: Buffer;
  /** The pages back to back, in the same order, each of the engine's page size; in as many pieces as they come in. */
  pages: readonly Buffer[];
}
