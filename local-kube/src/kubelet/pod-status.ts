import type { Condition, Container, ContainerStatus, Pod, PodStatus } from '../kinds.ts';

export interface PodProgress {
  /** Exit codes of containers that ended for good; undefined for the others. */
  readonly finished: readonly (number | undefined)[];
  readonly initFailed: boolean;
  /** Its node is gone. */
  readonly lost: boolean;
  readonly now: string;
}

/** An init container that restarts always starts before the others and runs beside them. */
export function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always';
}

/** Has it started once? What becomes of a sidecar later keeps nobody from starting. */
export function hasBegun({ started, restartCount }: ContainerStatus): boolean {
  return started === true || restartCount > 0;
}

/**
 * A pod's status from those of its containers. Pure. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
 */
export function podStatus(pod: Pod, ip: string, inits: ContainerStatus[], mains: ContainerStatus[], progress: PodProgress): PodStatus {
  const sidecars = new Set((pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const initialised = inits.every((status) => (sidecars.has(status.name) ? hasBegun(status) : status.state.terminated?.exitCode === 0));
  const shown = initialised ? mains : mains.map((status) => ({ ...status, state: { waiting: { reason: 'PodInitializing' } } }));
  const phase = phaseOf(mains, progress, initialised, pod.status?.phase);
  const unready = [...inits.filter(({ name }) => sidecars.has(name)), ...mains]
    .filter((status) => !status.ready)
    .map((status) => status.name);
  const why = phase === 'Succeeded' ? 'PodCompleted' : 'ContainersNotReady';
  const readiness: Partial<Condition> = progress.lost
    ? { status: 'False', reason: 'NodeNotReady' }
    : unready.length === 0
      ? { status: 'True' }
      : {
          status: 'False',
          reason: why,
          ...(phase === 'Succeeded' ? {} : { message: `containers with unready status: [${unready.join(' ')}]` }),
        };
  const conditions: Condition[] = [
    { type: 'PodReadyToStartContainers', status: progress.lost ? 'False' : 'True' },
    initialised ? { type: 'Initialized', status: 'True' } : { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized' },
    { type: 'Ready', status: 'False', ...readiness },
    { type: 'ContainersReady', status: 'False', ...readiness },
    { type: 'PodScheduled', status: 'True' },
  ];
  const before = pod.status?.conditions ?? [];
  const timed = conditions.map((condition): Condition => {
    const old = before.find((one) => one.type === condition.type);
    return {
      ...condition,
      lastProbeTime: null,
      lastTransitionTime: old?.status === condition.status && old.lastTransitionTime !== undefined ? old.lastTransitionTime : progress.now,
    };
  });
  return {
    phase,
    conditions: timed,
    hostIP: '127.0.0.1',
    hostIPs: [{ ip: '127.0.0.1' }],
    podIP: ip,
    podIPs: [{ ip }],
    startTime: pod.status?.startTime ?? progress.now,
    ...(inits.length > 0 ? { initContainerStatuses: inits } : {}),
    containerStatuses: shown,
    qosClass: pod.status?.qosClass ?? 'BestEffort',
  };
}

function phaseOf(
  mains: ContainerStatus[],
  { finished, initFailed }: PodProgress,
  initialised: boolean,
  before: string | undefined,
): string {
  if (initFailed) return 'Failed';
  if (finished.length > 0 && finished.every((code) => code !== undefined)) {
    // While the pod is being ended its containers' codes say nothing of success.
    return finished.every((code) => code === 0) ? 'Succeeded' : 'Failed';
  }
  const begun = mains.some(
    (status) => status.state.running !== undefined || status.restartCount > 0 || status.state.terminated !== undefined,
  );
  return initialised && (begun || before === 'Running') ? 'Running' : 'Pending';
}
