import { findCluster } from '../find-cluster.ts';
import { ApiError } from '@kube-aurora/kube-http';
import { FailedError } from '../kube/errors.ts';
import { path, RESTARTED_AT, type Cluster } from '@kube-aurora/cluster-view';
import { memberName } from '../member-name.ts';
import type { Surroundings } from '../surroundings.ts';

export interface RestartRequest {
  readonly namespace: string;
  readonly name: string | undefined;
  readonly member: string | undefined;
  /** The member may be the writer. */
  readonly writer: boolean;
}

/** Everything by the operator's own way, in order; or one pod, by an eviction, which keeps the disruption budget. */
export async function restartCommand(request: RestartRequest, { api, now, write }: Surroundings): Promise<void> {
  const { namespace, member } = request;
  const cluster = await findCluster(api, namespace, request.name);
  const { name } = cluster.metadata;
  if (member === undefined) {
    await api.merge(path.clusters(namespace, name), { metadata: { annotations: { [RESTARTED_AT]: new Date(now()).toISOString() } } });
    write(`auroracluster/${name} restarts: storage one at a time, then readers, the writer last\nkubectl aurora status ${name} --watch\n`);
    return;
  }
  const pod = memberName(cluster, member, 'instance', 'segment');
  if (pod === cluster.status?.writer && !request.writer) throw new FailedError(whyNotWriter(cluster, pod));
  try {
    await api.post(`${path.core('pods', namespace, pod)}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod, namespace },
    });
  } catch (error) {
    if (error instanceof ApiError && error.code === 429)
      throw new FailedError(
        `pod ${pod} is not restarted now: ${error.message} Wait until all copies are up (kubectl aurora status ${name}).`,
      );
    throw error;
  }
  write(`pod/${pod} restarts: the operator makes it anew\n`);
}

/** Pure: what to do in place of restarting the one that writes. */
export function whyNotWriter({ metadata, status }: Cluster, pod: string): string {
  const reader = (status?.instances ?? []).find(({ role, state }) => role === 'reader' && state === 'Serving');
  const instead =
    reader === undefined
      ? 'there is no reader to take its place, so clients wait until it is back'
      : `give its place away first (kubectl aurora switchover ${metadata.name} ${reader.name})`;
  return `${pod} is the writer: ${instead}; or say --writer`;
}
