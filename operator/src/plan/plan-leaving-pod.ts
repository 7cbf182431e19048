import { durationMs, formatMs } from '../api/duration.ts';
import { ANNOTATION, endpointLabel, LABEL } from '../api/names.ts';
import { isTerminating, type Labels, type Pod } from '../kube/objects.ts';
import { computeState, freshAgent, isCutOff, type Observed } from '../observed/observed.ts';
import { EMPTY_PLAN, type Plan } from './actions.ts';
import { instanceCount } from './instance-count.ts';
import { leavingSinceMs } from './plan-instances.ts';
import { overdue, remove } from './pod-removal.ts';

/** Endpoints that lead elsewhere reach nodes, and clients that were sent here just before are seen, within this time. */
const UNNOTICED_MS = 3_000;
/** How often a reader that is left by its clients is looked at. */
const LOOK_MS = 2_000;

/**
 * A reader that there is no place for any more. _It leaves the endpoints first, and is removed once its clients have gone_, or when they
 * had their time (spec.readers.drainTimeout). One that serves nobody is removed at once.
 */
export function planLeavingPod(observed: Observed, pod: Pod): Plan {
  if (isTerminating(pod)) return overdue(observed, pod);
  const { cluster, now } = observed;
  const { name } = pod.metadata;
  const why = 'there are to be fewer instances';
  // One that is silent may have sessions still.
  if (computeState(observed, pod) === 'unavailable' && !isCutOff(observed, pod))
    return remove({
      pod,
      why,
      notice: { type: 'Normal', reason: 'RemovingReader', message: `Removing ${name}: ${why}; it served nobody` },
    });
  const timeoutMs = durationMs(cluster.spec.readers.drainTimeout) ?? 0;
  const since = leavingSinceMs(pod);
  if (since === undefined) {
    const count = instanceCount(cluster);
    const message = `${name} leaves: there are to be ${count} ${count === 1 ? 'instance' : 'instances'}; it gets no new connections, and its sessions have ${formatMs(timeoutMs)} to end`;
    const annotations = { [ANNOTATION.leavingSince]: new Date(now).toISOString() };
    return {
      ...EMPTY_PLAN,
      actions: [
        { kind: 'mark-pod', pod, labels: unserved(pod), annotations, notice: { type: 'Normal', reason: 'ReaderLeaving', message } },
      ],
      againInMs: Math.min(timeoutMs, LOOK_MS),
    };
  }
  const goneMs = now - since;
  const connections = freshAgent(observed, pod)?.load?.connections;
  const isLeft = connections === 0 && goneMs >= UNNOTICED_MS;
  if (isLeft || goneMs >= timeoutMs) {
    const sessions = isLeft ? 'no client is connected to it' : `its clients had ${formatMs(timeoutMs)}, and the sessions that are left end`;
    return remove({ pod, why, notice: { type: 'Normal', reason: 'RemovingReader', message: `Removing ${name}: ${why}; ${sessions}` } });
  }
  return { ...EMPTY_PLAN, againInMs: Math.min(timeoutMs - goneMs, LOOK_MS) };
}

/** Labels with which no Service leads to it. */
function unserved(pod: Pod): Labels {
  const endpoints = Object.keys(pod.metadata.labels ?? {}).filter((label) => label.startsWith(endpointLabel('')));
  return Object.fromEntries([LABEL.serves, LABEL.servesReads, ...endpoints].map((label) => [label, 'false']));
}
