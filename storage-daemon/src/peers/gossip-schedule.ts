import type { SegmentState } from '@kube-aurora/rpc';

/**
 * When a peer is spoken to, as a pure decision. Every daemon looks once a second. It speaks when what it last told that
 * peer is no longer true, when the peer has news, or when nothing was said for a while; a call of the peer's own, which
 * was told how things stand here, counts as said. So a quiet volume costs a call now and then, and a peer that is gone
 * costs a bounded backoff.
 */
export const GOSSIP_TICK_MS = 1000;
/**
 * Even when nothing changes, so that a lost peer shows. Long, since fifteen pairs of daemons do this for an idle
 * volume.
 */
export const GOSSIP_QUIET_MS = 15_000;
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_MAX_MS = 10_000;
/** A peer that was not heard for this long is not counted on. */
export const HEARD_LATELY_MS = 3 * GOSSIP_QUIET_MS;

export interface Exchange {
  /** What the peer was last told, as `fingerprint` gives it. */
  readonly told: string;
  /** When the last call went well, either way; -Infinity for never. */
  readonly at: number;
  /** Calls that failed since. */
  readonly failures: number;
  /** When the last one failed. */
  readonly failedAt: number;
}

export const NO_EXCHANGE: Exchange = { told: '', at: -Infinity, failures: 0, failedAt: -Infinity };

/** All that peers act on; what moves without meaning anything to them (bytes used) is left out. */
export function fingerprint(state: SegmentState): string {
  const { phase, epoch, scl, lastBatchEpoch, baseEpoch, appliedLsn, vdl, logStartLsn, pgmrpl, history, fault, recoverToLsn } = state;
  return [
    phase,
    epoch,
    scl,
    lastBatchEpoch,
    baseEpoch,
    appliedLsn,
    vdl,
    logStartLsn,
    pgmrpl,
    history.length,
    history.at(-1)?.epoch ?? 0n,
    fault?.kind ?? '',
    recoverToLsn,
  ].join(' ');
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
export function isGossipDue(exchange: Exchange, print: string, now: number, random: number): boolean {
  if (exchange.failures > 0) return now - exchange.failedAt >= backoffMs(exchange.failures, random);
  if (now - exchange.at >= GOSSIP_QUIET_MS) return true;
  return exchange.told !== print && now - exchange.at >= GOSSIP_TICK_MS / 2;
}

/** Time to the next look: a second, give or take a tenth, so that daemons do not fall into step. */
export function tickDelayMs(random: number): number {
  return GOSSIP_TICK_MS * (0.9 + random / 5);
}
