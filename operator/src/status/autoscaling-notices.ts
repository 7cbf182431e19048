import type { AuroraClusterStatus, AutoscalingState } from '../api/status-types.ts';
import type { Notice } from '../plan/actions.ts';

/** States that a person is told of when they begin, and when they end. */
const TOLD: Readonly<Partial<Record<AutoscalingState, string>>> = { AtMaximum: 'AutoscalingAtMaximum' };

/** Instances that were added or removed by what there is to do, and what hinders that. */
export function autoscalingNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Notice[] {
  const [was, is] = [before?.autoscaling, after.autoscaling];
  if (is === undefined) return [];
  const notices: Notice[] = [];
  if (was !== undefined && is.desiredInstances !== was.desiredInstances) {
    const reason = is.desiredInstances > was.desiredInstances ? 'ScaledOut' : 'ScaledIn';
    notices.push({ type: 'Normal', reason, message: is.message });
  }
  const reason = TOLD[is.state];
  if (reason !== undefined && was?.state !== is.state) notices.push({ type: 'Warning', reason, message: is.message });
  return notices;
}
