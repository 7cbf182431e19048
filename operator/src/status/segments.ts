import { LABEL, storageName } from '../api/names.ts';
import { roleOfSegment, segmentIds } from '../api/segment-id.ts';
import { INSTANCE_PHASES, SEGMENT_STATES, type InstancePhase, type InstanceStatus, type SegmentStatus } from '../api/types.ts';
import { freshAgent, isSegmentUp, zoneOfSegment, type Observed } from '../observed/observed.ts';
import { isPodReady, isTerminating, podCondition, type Pod } from '../kube/objects.ts';
import { planInstances, writerOf } from '../plan/plan-instances.ts';
import { isSilent } from '../observed/reports.ts';

/** Keeps optional fields absent instead of undefined: server-side apply would otherwise be sent holes. */
export function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T;
}

/** The value where it is one of a list; programs of other releases may say others. */
function known<T extends string>(list: readonly T[], value: string | undefined, other: T): T {
  return list.find((one) => one === value) ?? other;
}

/** The six copies, from what the daemons say of themselves and what the writer knows of them. */
export function segmentStatuses(observed: Observed): readonly SegmentStatus[] {
  const agent = freshAgent(observed, writerOf(observed).pod);
  return segmentIds.map((segment) => {
    const id = storageName(observed.cluster.metadata.name, segment);
    const pod = observed.storagePods.get(segment);
    const daemon = observed.daemons.get(id);
    const seen = agent?.segments.find((reported) => reported.id === id);
    const answers = daemon !== undefined && !isSilent(daemon);
    return present<SegmentStatus>({
      id,
      zone: zoneOfSegment(observed, segment),
      role: roleOfSegment(observed.cluster.spec.storage.copies, segment),
      node: pod?.spec.nodeName,
      ready: isSegmentUp(observed, segment),
      state: answers ? known(SEGMENT_STATES, daemon.state, 'UNKNOWN') : 'UNREACHABLE',
      fault: answers ? (daemon.fault?.kind ?? (daemon.state === 'DAMAGED' ? 'UNKNOWN' : undefined)) : undefined,
      message: answers ? daemon.message : undefined,
      scl: (answers ? daemon.scl : undefined) ?? seen?.scl ?? daemon?.scl,
      behindBytes: seen?.behindBytes,
      bytesUsed: daemon?.bytesUsed,
      size: observed.claims.get(segment)?.status?.capacity?.storage,
    });
  });
}

/** In one word what a compute pod does: its agent's own when it can be asked. */
function instancePhase(observed: Observed, pod: Pod): InstancePhase {
  if (isTerminating(pod)) return 'stopping';
  const report = observed.agents.get(pod.metadata.name);
  if (!isSilent(report)) return known(INSTANCE_PHASES, report?.phase, 'unknown');
  return pod.status?.phase === 'Running' ? 'Unreachable' : 'Pending';
}

/** The instances that have a pod. */
export function instanceStatuses(observed: Observed): readonly InstanceStatus[] {
  return planInstances(observed).flatMap(({ name, role, pod }) => {
    if (pod === undefined) return [];
    const report = observed.agents.get(name);
    const status = present<InstanceStatus>({
      name,
      role,
      zone: pod.metadata.labels?.[LABEL.zone],
      node: pod.spec.nodeName,
      phase: instancePhase(observed, pod),
      ready: isPodReady(pod),
      restarts: pod.status?.containerStatuses?.[0]?.restartCount ?? 0,
      reason: isSilent(report) ? undefined : report?.reason,
      epoch: report?.epoch,
      startedAt: report?.startedAt,
    });
    return [status];
  });
}

/** Why a pod is not ready, in Kubernetes' words. */
export function podState(pod: Pod | undefined): string {
  if (pod === undefined) return 'has no pod yet';
  if (isTerminating(pod)) return 'is being stopped';
  const container = pod.status?.containerStatuses?.[0];
  const waiting = container?.state?.waiting?.reason;
  const scheduled = podCondition(pod, 'PodScheduled');
  if (scheduled?.status === 'False') return `finds no node (${scheduled.message ?? 'unschedulable'})`;
  if (waiting !== undefined) return `waits (${waiting})`;
  return pod.status?.phase === 'Running' ? 'runs and is not ready' : `is ${(pod.status?.phase ?? 'Pending').toLowerCase()}`;
}
