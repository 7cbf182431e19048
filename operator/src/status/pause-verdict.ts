import { ANNOTATION } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Notice } from '../plan/actions.ts';
import { isPaused } from '../plan/pause.ts';
import { bad, good, type Verdict } from './verdict.ts';

/** Does the operator keep the cluster as its spec says? */
export function pauseVerdict(cluster: AuroraCluster): Verdict {
  if (!isPaused(cluster)) return good('the operator keeps the cluster as its spec says');
  return bad(
    'Paused',
    `the operator changes nothing while the annotation ${ANNOTATION.paused} is "true"; agents go on to replace a lost writer. To go on: kubectl annotate ac ${cluster.metadata.name} ${ANNOTATION.paused}-`,
  );
}

/** A pause's beginning and its end, as events. */
export function pauseNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus, now: number): readonly Notice[] {
  const managed = (status: AuroraClusterStatus | undefined) => status?.conditions?.find(({ type }) => type === 'Managed');
  const [was, is] = [managed(before), managed(after)];
  if (is?.status === 'False' && was?.status !== 'False') return [{ type: 'Normal', reason: 'Paused', message: `Paused: ${is.message}` }];
  if (is?.status !== 'True' || was?.status !== 'False') return [];
  const seconds = Math.max(0, Math.round((now - Date.parse(was.lastTransitionTime)) / 1000));
  return [
    { type: 'Normal', reason: 'Resumed', message: `The operator keeps the cluster as its spec says again, after a pause of ${seconds} s` },
  ];
}
