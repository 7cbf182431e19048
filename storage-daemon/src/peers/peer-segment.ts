import type { EpochStart } from '@kube-aurora/volume';
import type { SegmentId, SegmentState, StoredValue } from '@kube-aurora/rpc';

/**
 * What the peers' side of a daemon (gossip, gap filling, copies, repair, scrub) needs of a segment, and no more.
 * Errors: AuroraRpcError with the codes of proto/segment.proto; stored bytes that fail their check are LogReadError
 * (redo-log/redo-log.ts) and StoredValueError (page-store/stored-value.ts); redo that was dropped is LogGoneError.
 */
export interface PeerSegment {
  readonly id: SegmentId;

  /** As Status answers it. Cheap: it is asked several times a second. */
  state(): SegmentState;

  /**
   * Why what is stored here cannot be used and a whole copy from a peer is the way out; undefined when it can. Not for
   * an EMPTY segment (its phase says so), nor for redo that cannot be applied: a peer's copy would hide a defect of ours.
   */
  needsCopy(): string | undefined;

  /** From now on `needsCopy` gives `reason`, durably, and the segment answers DAMAGED. */
  declareUnusable(reason: string): Promise<void>;

  /**
   * Takes a newer epoch history of the same base, as `mergeHistories` has decided (asserted again inside: a Truncate may
   * have come in between; then nothing happens), raises the volume epoch to its last epoch, and annuls, durably, what it
   * rules out. What the segment owes (see CopyTarget) past the start of the history's last epoch is forgiven: annulled.
   */
  installHistory(history: readonly EpochStart[]): Promise<void>;

  /** Points heard from a peer whose history this segment holds; lower ones are ignored. */
  notePoints(points: { readonly vdl: bigint; readonly pgmrpl: bigint }): void;

  /**
   * Takes whole batches from a peer, in order; resolves when they are on disk. Batches that end at or below SCL are
   * skipped (the writer's own stream may have brought them).
   * Invariant: a batch is stored only if it links to the log's end and counts under the segment's own history, checked
   * in the same turn as it is appended. Throws AuroraRpcError INVALID for the first that does not; those before it stay.
   */
  appendFromPeer(batches: Buffer): Promise<void>;

  /** RedoLog.batchesFrom: whole, checked, durable batches from the one whose backlink is `fromLsn`; empty at the end. */
  readRedo(fromLsn: bigint, maxBytes: number): Buffer | Promise<Buffer>;

  /** RedoLog.epochAt: epoch of the batch that ends at `lsn`; undefined outside the log. */
  epochAt(lsn: bigint): bigint | undefined;

  /** RedoLog.replaceBatch: puts a sound copy in a damaged batch's place; false when it does not fit there. */
  replaceBatch(batch: Buffer): Promise<boolean>;

  /** Everything stored as of the call, as PageStore.entries gives it: key order, from past `after` on, CRCs unchecked. */
  values(after?: Buffer): AsyncIterable<StoredValue>;

  /** For a peer's copy: a consistent view of the store. The log keeps all redo from `markLsn` on until `release`. */
  snapshot(): Promise<SegmentSnapshot>;

  /** The page by its page key (encodePageKey) at `lsn`, from store and log; undefined when it does not exist there. */
  pageAt(key: Buffer, lsn: bigint): Promise<Buffer | undefined>;

  /** LSN at which a replacement for a damaged page version is of use here: at or above the store's mark, at or below appliedLsn. */
  repairLsn(): bigint;

  /**
   * Puts a peer's page (undefined: it does not exist) as of `lsn` in the place of a stored value that fails its CRC,
   * durably. `key` is the store's key. Does nothing, and gives false, when the value passes by now.
   */
  replaceDamaged(key: Buffer, page: Buffer | undefined, lsn: bigint): Promise<boolean>;

  /**
   * Begins to take a peer's copy beside what is stored, which stays until `finish`. An EMPTY segment is IMPORTING from
   * now on. Throws AuroraRpcError NOT_READY when an import or another copy is under way.
   */
  beginCopy(source: SegmentState): Promise<CopyTarget>;
}

export interface SegmentSnapshot {
  readonly state: SegmentState;
  readonly markLsn: bigint;
  readonly values: AsyncIterable<StoredValue>;
  release(): void;
}

/** A copy under way; a process that dies leaves the segment as it was before `beginCopy`. */
export interface CopyTarget {
  /** Each must pass its CRC: StoredValueError otherwise. */
  put(values: readonly StoredValue[]): Promise<void>;

  /**
   * Makes the copy the segment's content in one durable step: store as copied; an empty log that goes on from the copied
   * mark, which must be `markLsn`; base, system identifier and (if newer than its own) history from the source. READY
   * from then on, but it makes no promise to an opener before its SCL is at or past `owesLsn`: what it may have
   * acknowledged before it lost its disk is in there.
   */
  finish(end: { readonly markLsn: bigint; readonly owesLsn: bigint }): Promise<void>;

  /** Drops what was copied; the segment is as before. */
  abandon(): Promise<void>;
}

/** The segments that this daemon holds. */
export interface PeerSegments {
  list(): readonly PeerSegment[];

  /** Undefined when this daemon has none of that id. */
  get(id: SegmentId): PeerSegment | undefined;

  /** The same, made EMPTY when it is not there: a peer has one, so this daemon should too. */
  adopt(id: SegmentId): Promise<PeerSegment>;
}
