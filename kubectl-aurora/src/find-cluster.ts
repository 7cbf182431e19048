import { ApiError, isNotFound, type KubeApi } from '@kube-aurora/kube-http';
import { UsageError } from './kube/errors.ts';
import { GROUP, path, PLURAL, type Cluster } from '@kube-aurora/cluster-view';

/**
 * The cluster that is meant: by its name, or the only one of the namespace. Throws what kubectl would say of one that is not there, and
 * UsageError when a name is needed.
 */
export async function findCluster(api: KubeApi, namespace: string, name: string | undefined): Promise<Cluster> {
  if (name !== undefined) return await clusterOf(api.get<Cluster>(path.clusters(namespace, name)));
  return chooseCluster(await listClusters(api, namespace), namespace);
}

export async function listClusters(api: KubeApi, namespace: string | undefined): Promise<readonly Cluster[]> {
  return (await clusterOf(api.get<{ readonly items: readonly Cluster[] }>(path.clusters(namespace)))).items;
}

/** Pure: which of a namespace's clusters is meant by no name. */
export function chooseCluster(clusters: readonly Cluster[], namespace: string): Cluster {
  const [only, ...others] = clusters;
  if (only === undefined) throw new UsageError(`there is no AuroraCluster in namespace ${namespace}; -A looks in all`);
  if (others.length > 0)
    throw new UsageError(
      `namespace ${namespace} has ${clusters.length} AuroraClusters: name one of ${clusters.map(({ metadata }) => metadata.name).join(', ')}`,
    );
  return only;
}

/** A server that does not know the kind answers 404 with no word of why. */
async function clusterOf<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error) && error instanceof ApiError && !error.message.includes(PLURAL))
      throw new UsageError(`the server doesn't have a resource type "${PLURAL}.${GROUP}": is kube-aurora installed there?`);
    throw error;
  }
}
