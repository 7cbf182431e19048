import { timeMs, type Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { isSilent } from '../observed/reports.ts';
import { EMPTY_PLAN, type Action, type Notice, type Plan } from './actions.ts';
import { deadNode } from './pod-health.ts';

/** A pod that should be gone by now is removed by force. */
const OVERDUE_MS = 5_000;

/** A pod that is being stopped: given up when it should be gone by now, or its node is. */
export function overdue(observed: Observed, pod: Pod): Plan {
  const deadline = timeMs(pod.metadata.deletionTimestamp) ?? observed.now;
  const onDeadNode = deadNode(pod, observed.nodes) !== undefined && isSilent(observed.agents.get(pod.metadata.name));
  const leftMs = deadline + OVERDUE_MS - observed.now;
  if (!onDeadNode && leftMs > 0) return { ...EMPTY_PLAN, againInMs: leftMs };
  return remove({ pod, why: 'it should be gone by now', force: true });
}

/** Takes a pod away, in order unless said otherwise. */
export function remove(what: { pod: Pod; why: string; force?: boolean; avoidZone?: string | undefined; notice?: Notice }): Plan {
  const { pod, why, force = false, avoidZone, notice } = what;
  const action: Action = {
    kind: 'delete-pod',
    pod,
    why,
    ...(force ? { gracePeriodSeconds: 0 } : {}),
    ...(avoidZone === undefined ? {} : { avoidZone }),
    ...(notice === undefined ? {} : { notice }),
  };
  return { ...EMPTY_PLAN, actions: [action] };
}
