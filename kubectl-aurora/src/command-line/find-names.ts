import { findCluster, listClusters } from '../find-cluster.ts';
import type { KubeApi } from '@kube-aurora/kube-http';
import type { Metadata } from '@kube-aurora/cluster-view';
import type { Completion } from './complete.ts';

/** Names that the API server has for what is asked. */
export async function findNames(
  api: KubeApi,
  namespace: string,
  { of, cluster }: Extract<Completion, { kind: 'names' }>,
): Promise<readonly string[]> {
  if (of === 'namespace') {
    const { items } = await api.get<{ readonly items: readonly { readonly metadata: Metadata }[] }>('/api/v1/namespaces');
    return items.map(({ metadata }) => metadata.name);
  }
  if (of === 'cluster') return (await listClusters(api, namespace)).map(({ metadata }) => metadata.name);
  const { status } = await findCluster(api, namespace, cluster);
  const instances = (status?.instances ?? []).map(({ name, role = '', state = '' }) => `${name}\t${role}, ${state}`);
  const segments = (status?.storage?.segments ?? []).map(({ id, zone = '' }) => `${id}\tsegment in ${zone}`);
  if (of === 'instance') return instances;
  return of === 'segment' ? segments : [...instances, ...segments];
}
