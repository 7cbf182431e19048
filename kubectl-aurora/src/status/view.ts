import type { Cluster, ClusterEvent, Pod } from '../kube/resources.ts';

/** All that is known of one cluster at one moment. */
export interface ClusterView {
  readonly cluster: Cluster;
  /** Its pods; undefined where we may not see them. */
  readonly pods: readonly Pod[] | undefined;
  /** About it, oldest first; undefined where we may not see them. */
  readonly events: readonly ClusterEvent[] | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export function eventTime(event: ClusterEvent): string {
  return event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp ?? '';
}
