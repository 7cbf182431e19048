import type { Warmth } from './warm-cache/warm-cache.ts';
import type { AgentSituation } from './agent-situation.ts';
import type { AgentState } from './agent-state.ts';
import type { LeaseView } from './lease/writer-lease.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import { HOME_GROUP } from './placement.ts';
import type { ReplayView } from './session/session.ts';
import type { SegmentStreamState } from './write-path/segment-stream.ts';

/** A flush that waits for longer than this waits for daemons that are away or take nothing. */
const QUORUM_LATE_MS = 3000;

/** What the status says of a write path. */
export interface WriteProgress {
  readonly sentLsn: bigint;
  readonly oldestFlushMs: number;
  segment(group: number, index: number): SegmentStreamState;
}

export interface SegmentName {
  readonly index: number;
  readonly id: string;
  readonly zone: string;
}

export interface SegmentStatus {
  readonly id: string;
  readonly zone: string;
  readonly scl: bigint;
  readonly state: SegmentStreamState['phase'] | 'unknown';
  /** Its disk takes no redo at present; `error` says what is wrong with it. */
  readonly takesNoRedo: boolean;
  readonly behindBytes: number;
  readonly error: string;
}

/** One line for each segment. A compute without a write path, or before it has one, knows nothing of them. */
export function segmentStatuses(segments: readonly SegmentName[], writing: WriteProgress | undefined): SegmentStatus[] {
  return segments.map(({ index, id, zone }) => {
    const state = writing?.segment(HOME_GROUP, index);
    const scl = state?.scl ?? 0n;
    const sent = writing?.sentLsn ?? 0n;
    return {
      id,
      zone,
      scl,
      state: state?.phase ?? 'unknown',
      takesNoRedo: state?.isUnwritable ?? false,
      behindBytes: Number(sent > scl ? sent - scl : 0n),
      error: state?.lastError ?? '',
    };
  });
}

/** Of the reader that would be the next writer. */
export interface WarmthStatus {
  /** Of the pages in the writer's cache, the share that is in this one's too. */
  readonly share: number;
  readonly pagesBehind: number;
  readonly pagesFetched: number;
  /** When the writer told what is in its cache. */
  readonly listAt: string;
}

function warmthStatus(warmth: Warmth | undefined): WarmthStatus | undefined {
  if (warmth === undefined) return undefined;
  const { share, pagesBehind, pagesFetched, listAtMs } = warmth;
  // Never 1 while something is missing.
  return { share: Math.floor(share * 1000) / 1000, pagesBehind, pagesFetched, listAt: new Date(listAtMs).toISOString() };
}

/** What the status says of a compute that reads; nothing of a writer, or before it has begun. */
export function replayStatus(replay: ReplayView | undefined): {
  readonly replayLsn?: bigint;
  readonly lagMs?: number;
  readonly source?: string | undefined;
  readonly warmth?: WarmthStatus | undefined;
} {
  if (replay === undefined) return {};
  return { replayLsn: replay.replayLsn, lagMs: Math.round(replay.lagMs), source: replay.source, warmth: warmthStatus(replay.warmth) };
}

/** What the status says of the lease; nothing for a compute that needs none. */
export function leaseStatus(lease: LeaseView | undefined): {
  readonly lease?: { readonly remainingMs: number; readonly timesRunOut: number };
} {
  return lease === undefined ? {} : { lease: { remainingMs: Math.round(lease.remainingMs), timesRunOut: lease.timesRunOut } };
}

/** What of a session is in the status beside the situation. */
export interface SituationView {
  readonly segments: readonly SegmentStatus[];
  /** For how long the oldest flush has waited. */
  readonly flushMs: number;
  readonly lease: LeaseView | undefined;
  /** While it opens. */
  readonly openingStep: OpeningStep | undefined;
  readonly wallTime: number;
}

export type SituationStatus = AgentSituation & { readonly since: string; readonly message: string };

/**
 * The situation as the status tells it: a writer whose commits wait for storage is running, and says that they do, and
 * for whom.
 */
export function situationStatus(
  { situation, since, message }: Pick<AgentState, 'situation' | 'since' | 'message'>,
  { segments, flushMs, lease, openingStep, wallTime }: SituationView,
): SituationStatus {
  const awaited = lease?.waitingFor ?? '';
  if (situation.phase === 'opening' && openingStep === 'lease' && awaited !== '') return { ...situation, since, message: awaited };
  if (situation.phase !== 'running') return { ...situation, since, message };
  const late = (waitedMs: number, why: string): SituationStatus => ({
    phase: 'running',
    reason: 'noQuorum',
    since: new Date(wallTime - waitedMs).toISOString(),
    message: why,
  });
  if (flushMs >= QUORUM_LATE_MS) return late(flushMs, `commits wait: fewer than four storage daemons take redo${whoDoesNot(segments)}`);
  const lostMs = lease?.lostMs ?? 0;
  if (lostMs >= QUORUM_LATE_MS) return late(lostMs, `replies to clients wait: ${awaited}`);
  return { ...situation, since, message };
}

function whoDoesNot(segments: readonly SegmentStatus[]): string {
  const unwritable = segments.filter((one) => one.takesNoRedo);
  const away = segments.filter((one) => !one.takesNoRedo && one.state !== 'streaming');
  const causes = [
    ...(unwritable.length > 0 ? [`the disk takes nothing on ${unwritable.map(({ id }) => id).join(', ')}`] : []),
    ...(away.length > 0 ? [`not fed: ${away.map(({ id }) => id).join(', ')}`] : []),
  ];
  return causes.length === 0 ? '' : ` (${causes.join('; ')})`;
}
