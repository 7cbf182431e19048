import { pause } from '@kube-aurora/clock';
import { findCluster } from '../find-cluster.ts';
import { FailedError } from '../kube/errors.ts';
import { path, SWITCHOVER_TO, type Cluster } from '@kube-aurora/cluster-view';
import { memberName } from '../member-name.ts';
import type { Surroundings } from '../surroundings.ts';
import { doneLines, switchoverProgress } from './follow-switchover.ts';

export interface SwitchoverRequest {
  readonly namespace: string;
  readonly name: string;
  readonly instance: string;
  readonly wait: boolean;
}

const LOOK_MS = 300;
/** An operator that is there takes an annotation up in a moment. */
const TAKEN_UP_MS = 30_000;

/** Asks for a switchover by the annotation that people set by hand otherwise, and tells what becomes of it. */
export async function switchoverCommand({ namespace, name, instance, wait }: SwitchoverRequest, around: Surroundings): Promise<void> {
  const { api, now, write, signal } = around;
  const cluster = await findCluster(api, namespace, name);
  const to = memberName(cluster, instance, 'instance');
  // The operator would refuse it, and then the status would tell of that in place of the last one that was done.
  if (to === cluster.status?.writer) throw new FailedError(`${to} is the writer already`);
  const before = cluster.status?.switchover?.startedAt;
  await api.merge(path.clusters(namespace, name), { metadata: { annotations: { [SWITCHOVER_TO]: to } } });
  write(`auroracluster/${name}: ${to} is asked to take the place of ${cluster.status?.writer ?? 'the writer'}\n`);
  if (!wait) return;
  const askedAt = now();
  let said = '';
  while (!signal.aborted) {
    const { status } = await api.get<Cluster>(path.clusters(namespace, name));
    const progress = switchoverProgress(status, to, before);
    if (progress.kind === 'done') return write(`${doneLines(progress.switchover).join('\n')}\n`);
    if (progress.kind === 'not done')
      throw new FailedError(`the switchover to ${to} was ${progress.state.toLowerCase()}: ${progress.message}`);
    if (progress.kind === 'under way' && progress.message !== said) {
      said = progress.message;
      write(`  ${said}\n`);
    }
    if (progress.kind === 'asked' && now() - askedAt > TAKEN_UP_MS)
      throw new FailedError(
        `the operator has not taken it up within ${TAKEN_UP_MS / 1000} s: is one running? To withdraw it: kubectl annotate auroracluster ${name} -n ${namespace} ${SWITCHOVER_TO}-`,
      );
    await pause(LOOK_MS, signal);
  }
}
