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
  /** Does a reader wait there for what becomes durable? */
  followed: boolean;
}

/** In the order of their numbers on the wire. */
export const FOLLOW_WANTS = ['FLOOR', 'VDL', 'REDO'] as const;
/**
 * What a reader wants of a segment. FLOOR: that it knows from where on it reads. VDL: that it also hears soon what is
 * durable, for the reader asks it for pages as of that. REDO: that it also sends redo.
 */
export type FollowWants = (typeof FOLLOW_WANTS)[number];

export interface FollowHello {
  segment: SegmentId;
  /** Names the compute to the segment: its read floor is kept by it. */
  readerId: string;
  wants: FollowWants;
  /** 0 to 15: when the writer is gone the lowest takes its place first. NEVER_PROMOTED: it never does. */
  promotionTier: number;
}

/** The promotion tier of a reader that never becomes the writer. */
export const NEVER_PROMOTED = 255;

/**
 * What the snapshots of hot standbys may still need (hot_standby_feedback), in transaction ids with their epoch in the upper
 * half, by which they can be compared; 0n: nothing of the kind.
 */
export interface StandbyXmins {
  /** Rows that were deleted by this transaction or a later one. */
  readonly xmin: bigint;
  /** The same of catalogs alone. */
  readonly catalogXmin: bigint;
}

/** Nothing is needed. */
export const NO_XMINS: StandbyXmins = { xmin: 0n, catalogXmin: 0n };

/** The lower of each kind. */
export function lowerXmins(a: StandbyXmins, b: StandbyXmins): StandbyXmins {
  const lower = (one: bigint, other: bigint): bigint => (other !== 0n && (one === 0n || other < one) ? other : one);
  return { xmin: lower(a.xmin, b.xmin), catalogXmin: lower(a.catalogXmin, b.catalogXmin) };
}

export interface FollowRequest {
  /** The first request of a stream carries it, no other does. */
  hello: FollowHello | undefined;
  /**
   * The reader has taken all redo up to here. With the hello: where redo is to begin, any record's end; 0 where none is
   * wanted.
   */
  takenLsn: bigint;
  /** The reader reads no page as of an LSN below; 0: it cannot say yet, and nothing more may be forgotten. */
  readFloor: bigint;
  /** What its snapshots may need. Not with the hello: what it said on a stream before stays as it is. */
  xmins?: StandbyXmins;
}

/** What a segment says of the writer that it obeys: whether another need take its place. */
export interface WriterSign {
  /** The highest epoch that the segment has promised. */
  writerEpoch: bigint;
  /** Milliseconds since the segment heard that writer, or since its daemon started. */
  writerSilentMs: number;
  /** That writer's PostgreSQL is dead, and it does not open the volume anew by itself. */
  writerGaveBack: boolean;
}

export interface FollowedRedo extends WriterSign {
  /** Everything at or below is durable on a write quorum, as far as the segment knows: never annulled. */
  vdl: bigint;
  /** Whole redo batches that end at or below VDL, back to back, each of which follows the one before it. */
  batches: Buffer | undefined;
}

export interface GetPagesRequest {
  segment: SegmentId;
  /** The writer's, or 0: a reader's, who has none and is served what is durable. */
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
