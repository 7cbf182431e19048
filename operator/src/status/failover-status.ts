import { formatMs } from '../api/duration.ts';
import { FAILOVER_PHASES, type AuroraClusterStatus, type FailoverStatus } from '../api/status-types.ts';
import type { FailoverReason } from '../observed/agent-failover.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import type { Notice } from '../plan/actions.ts';
import { writerOf } from '../plan/plan-instances.ts';

const CAUSE: Readonly<Record<Exclude<FailoverReason, 'switchover'>, FailoverStatus['reason']>> = {
  silent: 'Silent',
  postgresDied: 'PostgresDied',
};

/**
 * The last failover: what the writer's agent says of how it came to write, once it answers; else what was known. It says so for as long as
 * it lives, so that an operator that was away meanwhile finds it when it is back. A switchover is no failover.
 */
export function failoverStatus(observed: Observed): FailoverStatus | undefined {
  const known = observed.cluster.status?.failover;
  const { name, pod } = writerOf(observed);
  const report = freshAgent(observed, pod);
  const told = report?.role === 'writer' ? report.failover : undefined;
  if (told === undefined || told.reason === 'switchover' || told.phases.readyMs === undefined) return known;
  const { from, at, inPlace, phases } = told;
  const tookMs = FAILOVER_PHASES.reduce((sum, phase) => sum + (phases[phase] ?? 0), 0);
  return { from, to: name, reason: CAUSE[told.reason], at, tookMs, inPlace, phases };
}

const WHY: Readonly<Record<FailoverStatus['reason'], string>> = {
  Silent: 'storage heard it no more',
  PostgresDied: 'its PostgreSQL had ended',
};

/** An instance took another's place. */
export function failoverNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Notice[] {
  const { failover, switchover } = after;
  const notices: Notice[] = [];
  if (failover !== undefined && failover.at !== before?.failover?.at) {
    const { from, to, reason, tookMs, phases, inPlace } = failover;
    const parts = FAILOVER_PHASES.flatMap((phase) => {
      const ms = phases[phase];
      return ms === undefined ? [] : [`${phase.slice(0, -2)} ${formatMs(ms)}`];
    });
    const how = inPlace ? '' : '; a new PostgreSQL was started';
    notices.push({
      type: 'Warning',
      reason: 'FailedOver',
      message: `${to} took the place of writer ${from} (${WHY[reason]}) in ${formatMs(tookMs)}: ${parts.join(', ')}${how}`,
    });
  } else if (
    before?.writer !== undefined &&
    before.writer !== after.writer &&
    before.firstReadyAt !== undefined &&
    switchover?.to !== after.writer
  )
    notices.push({
      type: 'Normal',
      reason: 'WriterChanged',
      message: `${after.writer ?? ''} is the writer in the place of ${before.writer}`,
    });
  return notices;
}
