import type { AgentSituation } from './agent-situation.ts';
import type { AgentState } from './agent-state.ts';
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

/** What the status says of a compute that reads; nothing of a writer, or before it has begun. */
export function replayStatus(replay: ReplayView | undefined): {
  readonly replayLsn?: bigint;
  readonly lagMs?: number;
  readonly source?: string | undefined;
} {
  if (replay === undefined) return {};
  return { replayLsn: replay.replayLsn, lagMs: Math.round(replay.lagMs), source: replay.source };
}

export type SituationStatus = AgentSituation & { readonly since: string; readonly message: string };

/**
 * The situation as the status tells it: a writer whose commits wait for storage is running, and says that they do, and
 * for whom.
 */
export function situationStatus(
  { situation, since, message }: Pick<AgentState, 'situation' | 'since' | 'message'>,
  segments: readonly SegmentStatus[],
  waitedMs: number,
  wallTime: number,
): SituationStatus {
  if (situation.phase !== 'running' || waitedMs < QUORUM_LATE_MS) return { ...situation, since, message };
  return {
    phase: 'running',
    reason: 'noQuorum',
    since: new Date(wallTime - waitedMs).toISOString(),
    message: `commits wait: fewer than four storage daemons take redo${whoDoesNot(segments)}`,
  };
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
