import { compareLsn } from '@kube-aurora/pg-format/lsn';
import { countedScl, newestHistory, lastEpoch, type EpochStart, type Quorums } from '@kube-aurora/volume';
import type { SegmentState } from '@kube-aurora/rpc';

/**
 * What a segment does about its peers, as decisions without I/O: whether it fetches redo or takes a whole copy, and
 * from whom it takes that, or a page or batch to repair its own.
 */

/** What is known of one peer's copy of the same segment. */
export interface PeerView {
  readonly peerId: string;
  readonly state: SegmentState;
}

/**
 * Does this segment hold everything that it may ever have acknowledged? Only then does it show, together with others,
 * what was durable. A full disk takes nothing away from what is stored.
 */
export function isProof(state: SegmentState): boolean {
  if (state.phase !== 'READY' || state.recoverToLsn > state.scl) return false;
  switch (state.fault?.kind) {
    case undefined:
    case 'DISK_FULL':
    case 'DISK_ERROR':
      return true;
    case 'LOST_REDO':
    case 'DAMAGED_DATA':
    case 'REDO_FAILED':
    case 'HISTORY_REFUSED':
    case 'ENGINE_UNKNOWN':
    case 'KEY_UNUSABLE':
    case 'UNKNOWN':
      return false;
  }
}

function holdsVolume(state: SegmentState): boolean {
  return state.phase === 'READY' || state.phase === 'DAMAGED';
}

/** What a segment knows once it stands on a copy, whoever gives it. */
export interface CopyTerms {
  /** Until its SCL is there it makes no promise: it may have acknowledged so much. */
  readonly recoverToLsn: bigint;
  /**
   * The highest epoch that peers have promised, and the newest history that one of them has: it may have promised and
   * known as much, and whoever gives the copy may not.
   */
  readonly epoch: bigint;
  readonly history: readonly EpochStart[];
}

export type SyncPlan =
  | { readonly kind: 'idle' }
  /** Something is missing, and nobody who was heard can give it yet. */
  | { readonly kind: 'wait'; readonly reason: string }
  /** Peers in the order to try; the first of them has redo up to `toLsn`. */
  | { readonly kind: 'fetch'; readonly sources: readonly string[]; readonly toLsn: bigint }
  | ({ readonly kind: 'copy'; readonly sources: readonly string[]; readonly reason: string } & CopyTerms);

export interface SyncInput {
  readonly own: SegmentState;
  /** Why what is stored can only be replaced by a copy; undefined when it can be used. */
  readonly needsCopy: string | undefined;
  /** Peers that were heard lately, in the order to prefer where nothing else decides. */
  readonly peers: readonly PeerView[];
  /** Of the volume that the segment and its peers make up. */
  readonly quorums: Quorums;
  /** Up to where the pages of every full peer have all redo, as each said last; 0n while one said nothing. */
  readonly inAllPages: bigint;
  /** How many peers there are, heard or not. */
  readonly peerCount: number;
  /** Peers whose redo from our end on is damaged, and stayed so: they have been asked several times. */
  readonly unableToServe?: ReadonlySet<string>;
}

/** Sources whose SCLs differ by less than this (bytes of WAL) are as good as each other: the nearer one is taken. */
const NEAR_ENOUGH = 1024n * 1024n;

/** Own zone first, the rest as given. */
function nearestFirst(own: SegmentState, peers: readonly PeerView[]): PeerView[] {
  const isNear = (peer: PeerView): boolean => peer.state.zone === own.zone;
  return [...peers.filter(isNear), ...peers.filter((peer) => !isNear(peer))];
}

function highest(values: readonly bigint[]): bigint {
  return values.reduce((best, value) => (value > best ? value : best), 0n);
}

export function planSync(input: SyncInput): SyncPlan {
  const { own, needsCopy, peers, unableToServe } = input;
  if (own.phase === 'IMPORTING') return { kind: 'idle' };
  const isReady = (peer: PeerView): boolean => peer.state.phase === 'READY';
  // Nobody has it: there is no volume yet, and nothing to wait for.
  if (own.phase === 'EMPTY' && !peers.some(isReady)) return { kind: 'idle' };
  if (needsCopy !== undefined) return planCopy(input, needsCopy);
  // Redo that could not be applied: a peer's copy would hide a defect of ours.
  if (own.phase !== 'READY') return { kind: 'idle' };
  // What an import left behind before it died, superseded by another's; nothing was ever written to it.
  if (own.scl === own.baseLsn && peers.some((peer) => isReady(peer) && peer.state.baseEpoch > own.baseEpoch)) {
    return planCopy(input, `the segment stands on the import of epoch ${own.baseEpoch}, its peers on a later one`);
  }
  const ahead = peers.filter((peer) => isAhead(own, peer.state));
  if (ahead.length === 0) return { kind: 'idle' };
  const serving = ahead.filter((peer) => peer.state.logStartLsn <= own.scl && unableToServe?.has(peer.peerId) !== true);
  if (serving.length > 0) return planFetch(own, serving);
  if (ahead.every((peer) => lastEpoch(peer.state.history) < own.epoch && lastEpoch(peer.state.history) !== lastEpoch(own.history))) {
    return { kind: 'wait', reason: `epoch ${own.epoch} was promised; its history must come before a copy is taken` };
  }
  return planCopy(input, `redo from ${own.scl} on is no longer kept soundly by any peer`, ahead);
}

/** Does this peer hold redo past ours that counts under our history? */
function isAhead(own: SegmentState, peer: SegmentState): boolean {
  return holdsVolume(peer) && peer.baseEpoch === own.baseEpoch && countedScl(own.history, peer) > own.scl;
}

function planFetch(own: SegmentState, serving: readonly PeerView[]): SyncPlan {
  const ordered = furthestFirst(own, serving, own.history);
  const first = ordered[0];
  return {
    kind: 'fetch',
    sources: ordered.map((peer) => peer.peerId),
    toLsn: first === undefined ? 0n : countedScl(own.history, first.state),
  };
}

/** By how far each reaches under `history`; among those that reach about equally far, the nearest first. */
export function furthestFirst(own: SegmentState, peers: readonly PeerView[], history: readonly EpochStart[]): PeerView[] {
  const reach = (peer: PeerView): bigint => countedScl(history, peer.state);
  const best = highest(peers.map(reach));
  const far = nearestFirst(
    own,
    peers.filter((peer) => best - reach(peer) < NEAR_ENOUGH),
  );
  const rest = peers.filter((peer) => best - reach(peer) >= NEAR_ENOUGH).toSorted((a, b) => (reach(a) < reach(b) ? 1 : -1));
  return [...far, ...rest];
}

/** A full segment has pages to give, and a tail that stands in for one. */
export const hasPages = ({ state }: PeerView): boolean => state.role === 'FULL' || state.standIn !== undefined;

/**
 * A tail's log may start where this peer's does: where another tail's does, or at or before what the pages of every full
 * segment have. Otherwise it would lack redo that a full one may need, and count as one that has it.
 */
const mayStartAt =
  (inAllPages: bigint) =>
  ({ state }: PeerView): boolean =>
    state.role === 'TAIL' || state.logStartLsn <= inAllPages;

/** By how far back their redo goes: a tail that begins anew is to hold what a full segment may not have in its pages yet. */
function longestFirst(own: SegmentState, peers: readonly PeerView[]): PeerView[] {
  return nearestFirst(own, peers).toSorted((a, b) => compareLsn(a.state.logStartLsn, b.state.logStartLsn));
}

/**
 * A copy makes a segment count again although it may have acknowledged redo that it no longer has. So it must recover
 * what a read quorum of sound peers together holds: of the segments that redo was acknowledged by, those besides this one
 * share one with any read quorum of its peers (quorum.test.ts). A peer that must recover redo itself proves nothing
 * (`isProof`). Without a read quorum all peers must have been heard: then no more can be known. `among`: only these may be copied from.
 */
function planCopy(input: SyncInput, reason: string, among: readonly PeerView[] = input.peers): SyncPlan {
  const { own, peers, peerCount, quorums } = input;
  const ready = peers.filter((peer) => peer.state.phase === 'READY');
  const baseEpoch = highest(ready.map((peer) => peer.state.baseEpoch));
  const members = ready.filter((peer) => peer.state.baseEpoch === baseEpoch);
  const sound = members.filter((peer) => isProof(peer.state));
  if (!quorums.isRead(sound.map(({ state }) => state.role)) && peers.length < peerCount) {
    return {
      kind: 'wait',
      reason: `${reason}; ${sound.length} sound peers were heard, a copy needs ${quorums.readNeeds} or word from all`,
    };
  }
  const newest = newestHistory(members.map((peer) => peer.state.history));
  const able = members.filter((peer) => among.includes(peer));
  const sources =
    own.role === 'TAIL' ? longestFirst(own, able.filter(mayStartAt(input.inAllPages))) : furthestFirst(own, able.filter(hasPages), newest);
  if (sources.length === 0) {
    const why =
      own.role === 'TAIL'
        ? 'no peer that answers has redo from before what all full segments have in their pages'
        : 'no peer has a sound copy';
    return { kind: 'wait', reason: `${reason}; ${why}` };
  }
  const recoverToLsn = highest(members.map((peer) => countedScl(newest, peer.state)));
  const epoch = highest(ready.map((peer) => peer.state.epoch));
  return { kind: 'copy', sources: sources.map((peer) => peer.peerId), recoverToLsn, epoch, history: newest, reason };
}

/**
 * Whom to ask for a page as of `lsn`, at or below VDL. Only peers with pages whose history is not older than ours: another one's
 * log may hold annulled redo below `lsn`, and its page would have it.
 */
export function pageSources(own: SegmentState, peers: readonly PeerView[], lsn: bigint): string[] {
  const sound = peers.filter(
    (peer) =>
      hasPages(peer) &&
      peer.state.phase === 'READY' &&
      peer.state.baseEpoch === own.baseEpoch &&
      lastEpoch(peer.state.history) >= lastEpoch(own.history) &&
      peer.state.scl >= lsn,
  );
  return nearestFirst(own, sound).map((peer) => peer.peerId);
}

/** Whom to ask for the batches of our own log from `fromLsn` to past `pastLsn`. */
export function redoSources(
  own: SegmentState,
  peers: readonly PeerView[],
  range: { readonly fromLsn: bigint; readonly pastLsn: bigint },
): string[] {
  const holding = peers.filter(
    ({ state }) =>
      holdsVolume(state) &&
      state.baseEpoch === own.baseEpoch &&
      state.logStartLsn <= range.fromLsn &&
      countedScl(own.history, state) > range.pastLsn,
  );
  return nearestFirst(own, holding).map((peer) => peer.peerId);
}

/**
 * Tells a gap from redo that is merely on its way: a segment that the writer feeds is always a little behind somebody.
 * It is a gap when what a peer had `patienceMs` ago is still missing.
 */
export class GapWatch {
  readonly #patienceMs: number;
  #watched: { readonly lsn: bigint; readonly since: number } | undefined;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** `aheadLsn`: the highest SCL among peers. True: fetch now. */
  isDue(ownScl: bigint, aheadLsn: bigint, now: number): boolean {
    if (aheadLsn <= ownScl) {
      this.#watched = undefined;
      return false;
    }
    if (this.#watched === undefined || this.#watched.lsn <= ownScl) this.#watched = { lsn: aheadLsn, since: now };
    return now - this.#watched.since >= this.#patienceMs;
  }
}
