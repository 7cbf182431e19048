import { NEVER_PROMOTED, type SeenFollower } from '@kube-aurora/rpc';
import { instanceOf } from './judge-writer.ts';

/**
 * Who takes the writer's place, and how long each of the others waits for it to do so. Pure.
 *
 * Every candidate ranks all of them by what storage says of them, and waits for its own rank: the first one opens the
 * volume, and the others see its promise before their turn comes. Two that ranked differently, for what
 * they saw differed by a moment, may both open: the epoch decides.
 */

/** A reader that storage has not heard for so long is no candidate; it says something once a second. */
const CANDIDATE_MS = 3000;
/** What one rank waits longer than the one before: an opening's promises, and word of them, take less. */
const RANK_MS = 300;
const JITTER_MS = 50;
/** Redo that one has more than another is of no account below this: a moment's difference must not decide. */
const STEP_BITS = 20n;
/**
 * Computes that follow nothing do not know of one another: a tier's difference of their own, beside chance, keeps them
 * apart.
 */
const TIER_MS = 40;

/** What is known of the candidates: by segment, who follows it. */
export type FollowersSeen = readonly (readonly SeenFollower[])[];

/** The instances that may take the writer's place, the first one first. */
export function rankCandidates(seen: FollowersSeen): readonly string[] {
  return rankSessions(seen).map(({ computeId }) => instanceOf(computeId));
}

/** The same, as the sessions that they are in at present. */
export function rankSessions(seen: FollowersSeen): readonly SeenFollower[] {
  const newest = new Map<string, SeenFollower>();
  for (const one of seen.flat()) {
    // A session that is over may still be named beside the one that followed it.
    const instance = instanceOf(one.computeId);
    const other = newest.get(instance);
    if (other === undefined || one.silentMs < other.silentMs) newest.set(instance, one);
  }
  const candidates = [...newest].filter(([, one]) => one.promotionTier !== NEVER_PROMOTED && one.silentMs < CANDIDATE_MS);
  const mostTaken = candidates.reduce((most, [, { takenLsn }]) => (takenLsn > most ? takenLsn : most), 0n);
  const behind = ({ takenLsn }: SeenFollower): number => Number((mostTaken - takenLsn) >> STEP_BITS);
  return candidates
    .toSorted(
      ([a, one], [b, other]) => one.promotionTier - other.promotionTier || behind(one) - behind(other) || (a < b ? -1 : Number(a > b)),
    )
    .map(([, one]) => one);
}

export interface OwnPlace {
  readonly instance: string;
  readonly tier: number;
  /** We have a standby that follows; otherwise our database has yet to start. */
  readonly isFollowing: boolean;
  /** The instance of the writer that is gone; undefined when there was none. */
  readonly gone: string | undefined;
  /** In [0, 1). */
  readonly chance: number;
}

/** Our turn, among those that may take the writer's place. */
export interface TurnDelay {
  /** 0 for whoever is first. */
  readonly rank: number;
  readonly delayMs: number;
}

/**
 * How long we wait before we take the writer's place. One that does not follow stands behind all that do. Of those the
 * one that was the writer is first.
 */
export function turnDelay(candidates: readonly string[], { instance, tier, isFollowing, gone, chance }: OwnPlace): TurnDelay {
  const place = isFollowing ? candidates.indexOf(instance) : -1;
  const others = candidates.filter((one) => one !== instance).length;
  const isNext = place >= 0 || gone === instance;
  const rank = place >= 0 ? place : others + (isNext || gone === undefined ? 0 : 1);
  // Nobody else thinks itself first.
  if (rank === 0 && isNext) return { rank, delayMs: 0 };
  return { rank, delayMs: rank * RANK_MS + (isNext ? 0 : tier * TIER_MS) + chance * JITTER_MS };
}
