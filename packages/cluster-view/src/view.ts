import { CLUSTER_LABEL, type Cluster, type ClusterEvent, type Pod } from './resources.ts';

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

/** What belongs to this cluster, of what was listed. */
export function viewOf(
  cluster: Cluster,
  pods: readonly Pod[] | undefined,
  events: readonly ClusterEvent[] | undefined,
  now: number,
): ClusterView {
  const { name, namespace } = cluster.metadata;
  return {
    cluster,
    pods: pods?.filter(({ metadata }) => metadata.labels?.[CLUSTER_LABEL] === name && metadata.namespace === namespace),
    events: events
      ?.filter(({ involvedObject, metadata }) => involvedObject?.name === name && metadata.namespace === namespace)
      .toSorted((a, b) => eventTime(a).localeCompare(eventTime(b))),
    now,
  };
}
