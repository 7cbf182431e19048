import { parseLsn } from '@kube-aurora/pg-format';
import { instanceSettings } from '../api/instance-settings.ts';
import { isPodReady, isTerminating, type Pod } from '../kube/objects.ts';
import { cacheClaim, cacheVolumeProblems } from '../observed/cache-claim.ts';
import { computeState, freshAgent, type Observed } from '../observed/observed.ts';
import type { Instance } from './plan-instances.ts';
import { hasHadItsTime, isIdle } from './pod-health.ts';
import { isSwitchingOver, switchoverRefusal } from './switchover.ts';

/** After a switchover that came to nothing the writer's pod is replaced without one, for so long. */
const NO_SWITCHOVER_MS = 10 * 60_000;

/** An instance, and why its pod is to be replaced by one of another spec; undefined when it is as it should be. */
export interface UpdateCandidate {
  readonly instance: Instance;
  readonly outdatedWhy: string | undefined;
}

/** What an update does next. */
export interface NextUpdate {
  /** Names of instances whose pods may be replaced now. */
  readonly replaceable: ReadonlySet<string>;
  /** A reader that is to take the writer's place, so that the writer's pod becomes a reader's. */
  readonly handOverTo?: string;
}

/**
 * Outdated pods that serve nobody, and will not soon, may be replaced all at once, and before others. Then one at a time, and only
 * while nothing of storage moves, no other instance is on its way and nobody takes the writer's place: readers first, the highest
 * number first. One that has become unready a moment ago counts as one on its way: on a busy machine, or while storage is replaced, any of
 * them does, and the writer and all who could take its place would go together. When only the writer is left, a reader that is as it should be takes its place, and its pod goes as a reader's
 * does; where there is no such reader, its pod goes as it is.
 */
export function nextUpdate(observed: Observed, candidates: readonly UpdateCandidate[], storageSettled: boolean): NextUpdate {
  const outdated = candidates.filter(({ instance, outdatedWhy }) => instance.pod !== undefined && outdatedWhy !== undefined);
  const isOut = ({ instance: { pod } }: UpdateCandidate): boolean => pod !== undefined && isIdle(pod, observed.now);
  const idle = new Set(outdated.filter(isOut).map(({ instance }) => instance.name));
  const serving = outdated.filter((one) => !isOut(one));
  const readers = serving.filter(({ instance }) => instance.role === 'reader');
  const next = readers.at(-1) ?? serving[0];
  if (isSwitchingOver(observed.cluster)) return { replaceable: new Set() };
  if (next === undefined || idle.size > 0 || !storageSettled) return { replaceable: idle };
  // The next pod of a spec whose disks cannot be had would serve nobody.
  if (cacheVolumeProblems(observed).length > 0) return { replaceable: idle };
  const settled = candidates.every((one) => one === next || isSettled(observed, one.instance.pod));
  if (!settled) return { replaceable: new Set() };
  const handOverTo = next.instance.role === 'writer' ? successor(observed, candidates) : undefined;
  return handOverTo === undefined ? { replaceable: new Set([next.instance.name]) } : { replaceable: new Set(), handOverTo };
}

/** Takes connections, or has had its time to come up. */
function isSettled(observed: Observed, pod: Pod | undefined): boolean {
  if (pod === undefined || isTerminating(pod)) return false;
  // Neither would the one after it: that one's disk comes from the same place.
  if (!isPodReady(pod) && cacheClaim(observed, pod).kind !== 'there') return false;
  return computeState(observed, pod) === 'available' || hasHadItsTime(pod, observed.now);
}

/**
 * The reader that takes an outdated writer's place: one that needs no new pod itself, in the order in which they would take a lost
 * one's. Undefined where there is none, or where the last one that was asked did not do it.
 */
function successor(observed: Observed, candidates: readonly UpdateCandidate[]): string | undefined {
  const { spec, status } = observed.cluster;
  const last = status?.switchover;
  const isVain = last?.cause === 'Update' && (last.state === 'Refused' || last.state === 'Failed');
  if (isVain && observed.now - Date.parse(last.endedAt ?? last.startedAt) < NO_SWITCHOVER_MS) return undefined;
  const tier = ({ ordinal }: Instance): number => instanceSettings(spec, ordinal).promotionTier;
  const replayed = ({ pod }: Instance): bigint => parseLsn(freshAgent(observed, pod)?.replayLsn ?? '0/0');
  const [best] = candidates
    .filter(({ instance, outdatedWhy }) => outdatedWhy === undefined && switchoverRefusal(observed, instance.name) === undefined)
    .map(({ instance }) => instance)
    .sort((a, b) => tier(a) - tier(b) || (replayed(a) < replayed(b) ? 1 : replayed(a) > replayed(b) ? -1 : a.ordinal - b.ordinal));
  return best?.name;
}
