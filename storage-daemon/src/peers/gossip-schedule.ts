import type { SegmentState } from '@kube-aurora/rpc';

/**
 * When a peer is spoken to, as a pure decision. Every daemon looks once a second. It speaks when what it last told that
 * peer is no longer true, when the peer has news, or when nothing was said for a while; a call of the peer's own, which
 * was told how things stand here, counts as said. So a quiet volume costs a call now and then, and a peer that is gone
 * costs a bounded backoff. Under a load the LSNs move all the time: of them alone a peer is told less often, unless one
 * of the two is behind the other, who must know what to fetch.
 */
export const GOSSIP_TICK_MS = 1000;
/** When only LSNs have moved, of two that both have the redo of the moment. */
export const GOSSIP_MOVING_MS = 3000;
/**
 * Even when nothing changes, so that a lost peer shows. Long, since fifteen pairs of daemons do this for an idle
 * volume.
 */
export const GOSSIP_QUIET_MS = 15_000;
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MAX_MS = 10_000;
/** Somebody who merely calls is called back after this long: his own word of where he stands does not count. */
export const GOSSIP_UNHEARD_MS = 2 * GOSSIP_MOVING_MS;
/** A peer that was not heard for this long is not counted on. */
export const HEARD_LATELY_MS = 3 * GOSSIP_QUIET_MS;

export interface Exchange {
  /** What the peer was last told, as `fingerprint` gives it. */
  readonly told: Fingerprint;
  /** When the last call went well, either way; -Infinity for never. */
  readonly at: number;
  /** Calls that failed since. */
  readonly failures: number;
  /** When the last one failed. */
  readonly failedAt: number;
}

export const NO_EXCHANGE: Exchange = { told: { standing: '', positions: '' }, at: -Infinity, failures: 0, failedAt: -Infinity };

/** All that peers act on; what moves without meaning anything to them (bytes used) is left out. */
export interface Fingerprint {
  /** What changes seldom, and is told at once. */
  readonly standing: string;
  /** LSNs, which move with every batch. */
  readonly positions: string;
}

export function fingerprint(state: SegmentState): Fingerprint {
  const {
    phase,
    epoch,
    scl,
    lastBatchEpoch,
    baseEpoch,
    appliedLsn,
    vdl,
    logStartLsn,
    checkpointLsn,
    standIn,
    pgmrpl,
    history,
    fault,
    recoverToLsn,
  } = state;
  const lastEpoch = history.at(-1)?.epoch ?? 0n;
  return {
    standing: [
      phase,
      epoch,
      lastBatchEpoch,
      baseEpoch,
      history.length,
      lastEpoch,
      fault?.kind ?? '',
      recoverToLsn,
      checkpointLsn,
      standIn?.of ?? '',
    ].join(' '),
    positions: [scl, appliedLsn, vdl, logStartLsn, pgmrpl].join(' '),
  };
}

export function isSame(one: Fingerprint, other: Fingerprint): boolean {
  return one.standing === other.standing && one.positions === other.positions;
}

/**
 * Redo that a segment may have more than another was last heard to have, without the other being behind: what a volume
 * of many small transactions writes between two calls. Under a bulk load peers speak every second.
 */
const ABREAST_BYTES = 4n * 1024n * 1024n;

/** Do both have the redo of the moment, as far as one knows of the other? */
export function areAbreast(own: SegmentState, peer: SegmentState | undefined): boolean {
  if (peer === undefined || own.phase !== 'READY' || peer.phase !== 'READY') return false;
  return peer.scl <= own.scl && own.scl - peer.scl <= ABREAST_BYTES;
}

/** Is what a caller says of itself so new, against what the peer answered last, that the peer is asked at once? */
export function isUrgentNews(said: SegmentState, known: SegmentState | undefined): boolean {
  if (known === undefined) return true;
  return (
    said.phase !== known.phase ||
    said.epoch !== known.epoch ||
    said.fault?.kind !== known.fault?.kind ||
    said.recoverToLsn !== known.recoverToLsn ||
    said.history.length !== known.history.length ||
    said.history.at(-1)?.epoch !== known.history.at(-1)?.epoch
  );
}

/** Milliseconds to leave a peer alone after so many failures in a row; `random` in [0, 1) spreads it. */
export function backoffMs(failures: number, random: number): number {
  if (failures <= 0) return 0;
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return full * (0.5 + random / 2);
}

/** Is it time to call this peer? */
export function isGossipDue(exchange: Exchange, print: Fingerprint, isAbreast: boolean, now: number, random: number): boolean {
  if (exchange.failures > 0) return now - exchange.failedAt >= backoffMs(exchange.failures, random);
  const silentMs = now - exchange.at;
  if (silentMs >= GOSSIP_QUIET_MS) return true;
  if (isSame(exchange.told, print)) return false;
  const isMoving = isAbreast && exchange.told.standing === print.standing;
  return silentMs >= (isMoving ? GOSSIP_MOVING_MS : GOSSIP_TICK_MS / 2);
}

/** Time to the next look: a second, give or take a tenth, so that daemons do not fall into step. */
export function tickDelayMs(random: number): number {
  return GOSSIP_TICK_MS * (0.9 + random / 5);
}
