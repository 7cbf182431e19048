import { isPodReady, isTerminating, timeMs, type Pod } from '../kube/objects.ts';
import { computeState, type Observed } from '../observed/observed.ts';
import type { Instance } from './plan-instances.ts';

/** An instance that is not up after this long is not on its way: waiting for it would hold an update back for good. */
export const ON_ITS_WAY_MS = 60_000;

/** An instance, and why its pod is to be replaced by one of another spec; undefined when it is as it should be. */
export interface UpdateCandidate {
  readonly instance: Instance;
  readonly outdatedWhy: string | undefined;
}

/**
 * Which outdated pods may be replaced now, by an instance's name. Those that are not ready serve nobody: all of them,
 * and before others. Then one at a time, and only while nothing of storage moves and no other instance is on its way:
 * readers first, the highest number first, the writer last.
 */
export function replaceableNow(observed: Observed, candidates: readonly UpdateCandidate[], storageSettled: boolean): ReadonlySet<string> {
  const outdated = candidates.filter(({ instance, outdatedWhy }) => instance.pod !== undefined && outdatedWhy !== undefined);
  const isReady = ({ instance: { pod } }: UpdateCandidate): boolean => pod !== undefined && isPodReady(pod);
  const idle = outdated.filter((one) => !isReady(one)).map(({ instance }) => instance.name);
  const serving = outdated.filter(isReady);
  const readers = serving.filter(({ instance }) => instance.role === 'reader');
  const next = readers.at(-1) ?? serving[0];
  if (next === undefined || idle.length > 0 || !storageSettled) return new Set(idle);
  const others = candidates.filter((one) => one !== next);
  const settled = others.every(({ instance }) => instance.role === 'writer' || isSettled(observed, instance.pod));
  return new Set(settled ? [next.instance.name] : []);
}

/** Takes connections, or has had its time to come up. */
function isSettled(observed: Observed, pod: Pod | undefined): boolean {
  if (pod === undefined || isTerminating(pod)) return false;
  return computeState(observed, pod) === 'available' || observed.now - (timeMs(pod.metadata.creationTimestamp) ?? 0) > ON_ITS_WAY_MS;
}
