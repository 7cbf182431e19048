import { ANNOTATION, LABEL } from '../api/names.ts';
import type { Pod } from '../kube/objects.ts';

/** What a reader needs a new pod for. A writer needs none of it while it is one, and is a reader first when it is not. */
const OF_READERS = [
  [ANNOTATION.promotionTier, 'its promotion tier changed'],
  [ANNOTATION.failoverAfterMs, 'spec.failover.after changed'],
] as const;

/** Why a pod is to be replaced by one like `desired`; undefined when it is as it should be. Shown to people. */
export function outdatedBecause(pod: Pod, desired: Pod): string | undefined {
  const differs = (annotation: string): boolean => pod.metadata.annotations?.[annotation] !== desired.metadata.annotations?.[annotation];
  if (differs(ANNOTATION.specHash)) return 'its spec changed';
  if (desired.metadata.annotations?.[ANNOTATION.volumeExists] === 'false' && differs(ANNOTATION.initSql))
    return 'what its first database is made with changed';
  const ofReaders = desired.metadata.labels?.[LABEL.role] === 'reader' ? OF_READERS.find(([annotation]) => differs(annotation)) : undefined;
  if (ofReaders !== undefined) return ofReaders[1];
  // Taking the request back, or never having made one, restarts nothing.
  const asked = desired.metadata.annotations?.[ANNOTATION.restartedAt];
  return asked !== undefined && differs(ANNOTATION.restartedAt)
    ? `a restart was asked for (${ANNOTATION.restartedAt}=${asked})`
    : undefined;
}
