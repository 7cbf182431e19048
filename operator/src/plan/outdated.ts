import { ANNOTATION } from '../api/names.ts';
import type { Pod } from '../kube/objects.ts';
import { podTrouble } from './pod-health.ts';

/** Why a pod is to be replaced by one like `desired`; undefined when it is as it should be. Shown to people. */
export function outdatedBecause(pod: Pod, desired: Pod): string | undefined {
  const differs = (annotation: string): boolean => pod.metadata.annotations?.[annotation] !== desired.metadata.annotations?.[annotation];
  if (differs(ANNOTATION.specHash)) return 'its spec changed';
  // Images are pulled when a container starts: what runs has its image.
  if (podTrouble(pod).kind === 'image' && differs(ANNOTATION.imagePull)) return 'how its image is pulled changed';
  if (desired.metadata.annotations?.[ANNOTATION.volumeExists] === 'false' && differs(ANNOTATION.initSql))
    return 'what its first database is made with changed';
  // Taking the request back, or never having made one, restarts nothing.
  const asked = desired.metadata.annotations?.[ANNOTATION.restartedAt];
  return asked !== undefined && differs(ANNOTATION.restartedAt)
    ? `a restart was asked for (${ANNOTATION.restartedAt}=${asked})`
    : undefined;
}
