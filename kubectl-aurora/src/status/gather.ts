import { unlessForbidden, type KubeApi } from '@kube-aurora/kube-http';
import { CLUSTER_LABEL, path, viewOf, type Cluster, type ClusterEvent, type ClusterView, type Pod } from '@kube-aurora/cluster-view';
import { findCluster, listClusters } from '../find-cluster.ts';

/** Of one cluster, or of all that are meant. */
export type Gathered =
  | { readonly kind: 'one'; readonly view: ClusterView }
  | { readonly kind: 'many'; readonly clusters: readonly Cluster[] };

export interface Wanted {
  /** Undefined: all. */
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

/** Everything at once: clusters, pods and events are asked for side by side, so that it takes one round trip. */
export async function gather(api: KubeApi, { namespace, name }: Wanted, now: () => number): Promise<Gathered> {
  const items = <T>(of: string): Promise<readonly T[] | undefined> =>
    unlessForbidden(api.get<{ readonly items: readonly T[] }>(of).then((list) => list.items));
  const selector = encodeURIComponent(name === undefined ? CLUSTER_LABEL : `${CLUSTER_LABEL}=${name}`);
  const about = encodeURIComponent(`involvedObject.kind=AuroraCluster${name === undefined ? '' : `,involvedObject.name=${name}`}`);
  const [clusters, pods, events] = await Promise.all([
    name === undefined || namespace === undefined ? listClusters(api, namespace) : findCluster(api, namespace, name).then((one) => [one]),
    items<Pod>(`${path.core('pods', namespace)}?labelSelector=${selector}`),
    items<ClusterEvent>(`${path.core('events', namespace)}?fieldSelector=${about}`),
  ]);
  const [only, ...others] = clusters;
  if (only === undefined || others.length > 0) return { kind: 'many', clusters };
  return { kind: 'one', view: viewOf(only, pods, events, now()) };
}
