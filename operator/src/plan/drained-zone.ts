import { segmentIds } from '../api/segment-id.ts';
import type { Pod } from '../kube/objects.ts';
import { isSegmentSettled, zoneOfSegment, type Observed } from '../observed/observed.ts';
import { podTrouble } from './pod-health.ts';

/**
 * The zone whose nodes are being emptied, where a copy has no other place in it: one node for each zone, or volumes that cannot leave
 * their node. The first copy that was evicted cannot come back before the node does, so a drain that waits for it would never end.
 * _It is one zone at a time, and only while the four copies of the others are up and caught up_: those are a write quorum, and enough
 * for a new writer.
 */
export function drainedZone(observed: Observed): string | undefined {
  const zones = new Set(segmentIds.map((segment) => zoneOfSegment(observed, segment)));
  const drained = [...zones].filter((zone) => isDrained(observed, zone));
  return drained.length === 1 ? drained[0] : undefined;
}

function isDrained(observed: Observed, zone: string): boolean {
  const inZone = segmentIds.filter((segment) => zoneOfSegment(observed, segment) === zone);
  const pods = inZone.flatMap((segment) => observed.storagePods.get(segment) ?? []);
  const placed = pods.filter(({ spec }) => spec.nodeName !== undefined);
  return (
    pods.some((pod) => podTrouble(pod).kind === 'unschedulable') &&
    placed.every((pod) => isOnCordonedNode(observed, pod)) &&
    segmentIds.every((segment) => inZone.includes(segment) || isSegmentSettled(observed, segment))
  );
}

function isOnCordonedNode({ nodes }: Observed, { spec }: Pod): boolean {
  return nodes.find(({ metadata }) => metadata.name === spec.nodeName)?.spec?.unschedulable === true;
}
