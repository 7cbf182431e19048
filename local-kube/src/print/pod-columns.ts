import type { ContainerStatus, Pod } from '../kinds.ts';
import type { Json, KubeObject } from '../store/object.ts';
import { age } from './duration.ts';
import { column, type Column } from './column.ts';

export const POD_COLUMNS: readonly Column[] = [
  column('Name'),
  column('Ready'),
  column('Status'),
  column('Restarts'),
  column('Age'),
  column('IP', 1),
  column('Node', 1),
  column('Nominated Node', 1),
  column('Readiness Gates', 1),
];

/** What the STATUS column says: the most telling of phase, reasons of waiting and ends of containers, and deletion. */
export function podState(pod: Pod): string {
  const status = pod.status ?? {};
  let state = status.reason ?? status.phase ?? 'Unknown';
  const gated = pod.spec.schedulingGates !== undefined && pod.spec.schedulingGates.length > 0;
  if (gated && status.phase === 'Pending') state = 'SchedulingGated';
  const inits = status.initContainerStatuses ?? [];
  const at = inits.findIndex((container) => container.state.terminated?.exitCode !== 0);
  const pending = inits[at];
  if (pending !== undefined && status.phase === 'Pending') {
    const word = stateWord(pending);
    state = word === undefined || word === 'PodInitializing' ? `Init:${at}/${inits.length}` : `Init:${word}`;
  } else {
    let running = false;
    for (const container of (status.containerStatuses ?? []).toReversed()) {
      const word = stateWord(container);
      if (word !== undefined) state = word;
      else if (container.ready) running = true;
    }
    if (state === 'Completed' && running) state = isReady(pod) ? 'Running' : 'NotReady';
  }
  if (pod.metadata.deletionTimestamp === undefined) return state;
  return status.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
}

function stateWord(container: ContainerStatus): string | undefined {
  const { waiting, terminated } = container.state;
  if (waiting !== undefined) return waiting.reason;
  if (terminated === undefined) return undefined;
  if (terminated.reason !== '') return terminated.reason;
  return terminated.signal === undefined ? `ExitCode:${terminated.exitCode}` : `Signal:${terminated.signal}`;
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
}

export function podCells(object: KubeObject, nowMs: number): Json[] {
  const pod = object as Pod;
  const statuses = pod.status?.containerStatuses ?? [];
  const restarts = statuses.reduce((sum, container) => sum + container.restartCount, 0);
  const ends = statuses.map((container) => container.lastState.terminated?.finishedAt).filter((end) => end !== undefined);
  const last = ends.toSorted().at(-1);
  return [
    pod.metadata.name,
    `${statuses.filter((container) => container.ready).length}/${pod.spec.containers.length}`,
    podState(pod),
    restarts > 0 && last !== undefined ? `${restarts} (${age(last, nowMs)} ago)` : String(restarts),
    age(pod.metadata.creationTimestamp, nowMs),
    pod.status?.podIP ?? '<none>',
    pod.spec.nodeName ?? '<none>',
    '<none>',
    '<none>',
  ];
}
