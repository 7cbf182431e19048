import { storageName } from '../api/names.ts';
import { roleOfSegment, segmentIds } from '../api/segment-id.ts';
import { SEGMENT_STATES, STAND_IN_REASONS, type SegmentStatus } from '../api/status-types.ts';
import { freshAgent, isSegmentSound, isSegmentUp, zoneOfSegment, type Observed } from '../observed/observed.ts';
import { isTerminating, podCondition, type Pod } from '../kube/objects.ts';
import { writerOf } from '../plan/plan-instances.ts';
import { isSilent } from '../observed/reports.ts';
import { known, present } from './present.ts';

/** The six copies, from what the daemons say of themselves and what the writer knows of them. */
export function segmentStatuses(observed: Observed): readonly SegmentStatus[] {
  const agent = freshAgent(observed, writerOf(observed).pod);
  return segmentIds.map((segment) => {
    const id = storageName(observed.cluster.metadata.name, segment);
    const pod = observed.storagePods.get(segment);
    const daemon = observed.daemons.get(id);
    // A writer that has yet to hear of a copy calls all of the volume missing there.
    const seen = agent?.segments.find((reported) => reported.id === id && reported.scl !== undefined);
    const answers = daemon !== undefined && !isSilent(daemon);
    return present<SegmentStatus>({
      id,
      zone: zoneOfSegment(observed, segment),
      role: roleOfSegment(observed.cluster.spec.storage.copies, segment),
      node: pod?.spec.nodeName,
      ready: isSegmentUp(observed, segment),
      state: answers ? known(SEGMENT_STATES, daemon.state, 'UNKNOWN') : 'UNREACHABLE',
      sound: isSegmentSound(observed, segment),
      fault: answers ? (daemon.fault?.kind ?? (daemon.state === 'DAMAGED' ? 'UNKNOWN' : undefined)) : undefined,
      message: answers ? daemon.message : undefined,
      scl: (answers ? daemon.scl : undefined) ?? seen?.scl ?? daemon?.scl,
      behindBytes: seen?.behindBytes,
      bytesUsed: daemon?.bytesUsed,
      standIn:
        answers && daemon.standIn !== undefined
          ? { ...daemon.standIn, reason: known(STAND_IN_REASONS, daemon.standIn.reason, 'UNKNOWN') }
          : undefined,
      size: observed.claims.get(segment)?.status?.capacity?.storage,
    });
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
  // It has not even been refused: nobody schedules, or nobody has yet.
  if (scheduled === undefined && pod.spec.nodeName === undefined) return 'waits for the scheduler to give it a node';
  return pod.status?.phase === 'Running' ? 'runs and is not ready' : `is ${(pod.status?.phase ?? 'Pending').toLowerCase()}`;
}
