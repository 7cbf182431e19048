import { pause } from '@kube-aurora/clock';
import { findCluster } from '../find-cluster.ts';
import type { KubeApi } from '@kube-aurora/kube-http';
import { CLUSTER_LABEL, COMPONENT_LABEL, path, type Cluster, type Pod } from '@kube-aurora/cluster-view';
import { showAgain } from '../status/show-again.ts';
import type { Surroundings } from '../surroundings.ts';
import { fetchMetrics } from './fetch-metrics.ts';
import { renderStorage } from './render-storage.ts';
import { renderTop } from './render-top.ts';
import { fetchStatements, renderStatements } from './statements.ts';

export interface FiguresRequest {
  readonly namespace: string;
  readonly name: string | undefined;
  readonly watch: boolean;
}

/** Between two looks: rates are of this long. */
const BETWEEN_MS = 1000;

async function membersOf(
  api: KubeApi,
  { namespace, name }: FiguresRequest,
  component: 'compute' | 'storage',
): Promise<{ cluster: Cluster; pods: readonly Pod[] }> {
  const cluster = await findCluster(api, namespace, name);
  const selector = encodeURIComponent(`${CLUSTER_LABEL}=${cluster.metadata.name},${COMPONENT_LABEL}=${component}`);
  const { items } = await api.get<{ readonly items: readonly Pod[] }>(`${path.core('pods', namespace)}?labelSelector=${selector}`);
  return { cluster, pods: items };
}

export async function topCommand(request: FiguresRequest, around: Surroundings): Promise<void> {
  const { api, now, screen, signal } = around;
  await showAgain(around, request.watch, async () => {
    const { cluster, pods } = await membersOf(api, request, 'compute');
    const begun = now();
    const before = await fetchMetrics(api, pods);
    await pause(BETWEEN_MS, signal);
    const seconds = (now() - begun) / 1000;
    const [after, statements] = await Promise.all([fetchMetrics(api, pods), fetchStatements(api, cluster, pods)]);
    return `${renderTop(cluster, { before, after, seconds }, screen())}${renderStatements(statements, screen())}`;
  });
}

export async function storageCommand(request: FiguresRequest, around: Surroundings): Promise<void> {
  await showAgain(around, request.watch, async () => {
    const { cluster, pods } = await membersOf(around.api, request, 'storage');
    return renderStorage(cluster, await fetchMetrics(around.api, pods), around.screen());
  });
}
