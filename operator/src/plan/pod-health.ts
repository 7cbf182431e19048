import { isNodeReady, isPodReady, isTerminating, podCondition, timeMs, type Node, type Pod } from '../kube/objects.ts';
import { lastWords } from '../kube/termination.ts';

/** A container that ran at least this long did not crash on start: the kubelet's back-off is only in the way. */
const RAN_WELL_MS = 20_000;

/** A pod that is not ready after this long is not on its way: waiting for it would hold an update back for good. */
export const ON_ITS_WAY_MS = 60_000;

/** So many restarts of a container that never ran well are a loop. */
const RESTARTS_MIN = 3;

export type PodTrouble =
  | { readonly kind: 'none' }
  /** The pod ended or its node lost it: it will not come back by itself. */
  | { readonly kind: 'over'; readonly why: string; readonly nodeLost: boolean }
  /** The kubelet waits before it starts again what ran well until it was killed. */
  | { readonly kind: 'backed-off'; readonly why: string }
  | { readonly kind: 'crash-loop'; readonly why: string }
  | { readonly kind: 'unschedulable'; readonly why: string; readonly sinceMs: number }
  | { readonly kind: 'image'; readonly why: string };

/** What ails a pod, as far as Kubernetes says. */
export function podTrouble(pod: Pod): PodTrouble {
  if (isTerminating(pod)) return { kind: 'none' };
  const { status } = pod;
  const phase = status?.phase;
  const container = status?.containerStatuses?.[0];
  if (phase === 'Failed' || phase === 'Succeeded') {
    const exit = container?.state?.terminated?.exitCode;
    return {
      kind: 'over',
      why: status?.reason ?? (exit === undefined ? `phase ${phase}` : `exit code ${exit}`),
      nodeLost: status?.reason === 'NodeLost',
    };
  }
  if (phase === 'Unknown') return { kind: 'over', why: status?.reason ?? 'its node lost contact', nodeLost: true };
  const scheduled = podCondition(pod, 'PodScheduled');
  if (phase === 'Pending' && scheduled?.status === 'False') {
    return {
      kind: 'unschedulable',
      why: scheduled.message ?? 'no node fits',
      sinceMs: timeMs(scheduled.lastTransitionTime) ?? timeMs(pod.metadata.creationTimestamp) ?? 0,
    };
  }
  const waiting = container?.state?.waiting;
  const last = container?.lastState?.terminated;
  const ranWell = last !== undefined && (timeMs(last.finishedAt) ?? 0) - (timeMs(last.startedAt) ?? 0) >= RAN_WELL_MS;
  const words = lastWords(last);
  const reason = last?.reason === undefined ? '' : ` (${last.reason})`;
  const why = `its container ended with exit code ${last?.exitCode ?? '?'}${words === undefined ? reason : `: ${words}`}`;
  if (waiting?.reason === 'CrashLoopBackOff') return { kind: ranWell ? 'backed-off' : 'crash-loop', why };
  // Between two crashes it runs for a moment: that is no recovery.
  const again = container?.state?.running !== undefined && !isPodReady(pod) && (container.restartCount ?? 0) >= RESTARTS_MIN;
  if (again && last !== undefined && last.exitCode !== 0 && !ranWell) return { kind: 'crash-loop', why };
  if (waiting?.reason === 'ErrImagePull' || waiting?.reason === 'ImagePullBackOff' || waiting?.reason === 'InvalidImageName') {
    return { kind: 'image', why: waiting.message ?? waiting.reason };
  }
  return { kind: 'none' };
}

/** Since when it is as it is: ready, or not. */
export function readinessSinceMs(pod: Pod): number {
  return Math.max(timeMs(pod.metadata.creationTimestamp) ?? 0, timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) ?? 0);
}

/** It has not been ready for so long that it is not on its way. */
export function hasHadItsTime(pod: Pod, now: number): boolean {
  return !isPodReady(pod) && now - readinessSinceMs(pod) > ON_ITS_WAY_MS;
}

/** Serves nobody, and will not soon: it cannot start, or has been unready for as long as any may be on its way. */
export function isIdle(pod: Pod, now: number): boolean {
  if (isPodReady(pod)) return false;
  return isTerminating(pod) || pod.status?.phase !== 'Running' || podTrouble(pod).kind !== 'none' || hasHadItsTime(pod, now);
}

/** The pod's node, when it has one and the node is known and not ready. */
export function deadNode(pod: Pod, nodes: readonly Node[]): Node | undefined {
  const node = nodes.find(({ metadata }) => metadata.name === pod.spec.nodeName);
  return node === undefined || isNodeReady(node) ? undefined : node;
}
