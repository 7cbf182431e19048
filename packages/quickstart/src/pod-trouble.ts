import { CoreV1Api, type V1ContainerStatus, type V1Pod } from '@kubernetes/client-node';
import { loadKubeConfig } from './cluster-connection.ts';

/** A pod whose program does not stay up, as one sentence with the cause that its log names. */
export interface PodTrouble {
  readonly pod: string;
  /** Exit code and what the log says: changes when the trouble does. */
  readonly cause: string;
  readonly sentence: string;
}

const LOG_LINES = 40;

/**
 * The pods of a cluster that failed since then and do not run now; what failed before is of an earlier start. Empty
 * while the API does not answer.
 */
export async function podTroubles(cluster: { readonly name: string; readonly namespace: string }, since: Date): Promise<PodTrouble[]> {
  const core = loadKubeConfig().makeApiClient(CoreV1Api);
  const { name, namespace } = cluster;
  try {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: `kube-aurora.dev/cluster=${name}` });
    return await Promise.all(
      items.flatMap((pod) => {
        const failed = failedContainer(pod, since);
        return failed === undefined ? [] : [describe(core, pod, failed)];
      }),
    );
  } catch {
    // Before the API answers there is nothing to say of pods; whoever waits for it says so.
    return [];
  }
}

/**
 * The container whose last run began and failed since then, and that has not been ready after it. A run that began
 * before ended with the control plane that ran it, and the new one only notes that: its log says nothing of today.
 */
export function failedContainer(pod: V1Pod, since: Date): V1ContainerStatus | undefined {
  return pod.status?.containerStatuses?.find((status) => {
    const ended = status.state?.terminated ?? status.lastState?.terminated;
    if (status.ready || ended === undefined || ended.exitCode === 0) return false;
    return [ended.startedAt, ended.finishedAt].every((at) => at === undefined || at >= since);
  });
}

async function describe(core: CoreV1Api, pod: V1Pod, container: V1ContainerStatus): Promise<PodTrouble> {
  const name = pod.metadata?.name ?? '';
  const namespace = pod.metadata?.namespace ?? 'default';
  const ended = container.state?.terminated ?? container.lastState?.terminated;
  const previous = container.state?.terminated === undefined;
  let log = '';
  try {
    log = await core.readNamespacedPodLog({ name, namespace, container: container.name, previous, tailLines: LOG_LINES });
  } catch {
    // The log of a run may be gone already; the exit code stands by itself then.
  }
  const times = container.restartCount > 1 ? ` (${container.restartCount} restarts so far)` : '';
  const said = causeInLog(log);
  const cause = `ended with code ${ended?.exitCode ?? '?'}${said === '' ? '' : `: ${said}`}`;
  return { pod: name, cause, sentence: `${name} ${cause}${times}` };
}

/**
 * The last line that tells of an error, as a person reads it; the programs log JSON, their first lines before that are
 * plain.
 */
export function causeInLog(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const told = lines.map((line) => ({ line, entry: entryOf(line) }));
  const worst = told.findLast(({ entry }) => entry !== undefined && entry.level >= 50) ?? told.findLast(({ entry }) => entry === undefined);
  return worst === undefined ? '' : (worst.entry?.text ?? worst.line.trim());
}

function entryOf(line: string): { level: number; text: string } | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const { level, msg, err } = JSON.parse(line) as { level?: unknown; msg?: unknown; err?: { message?: unknown } };
    const parts = [msg, err?.message].filter((part): part is string => typeof part === 'string' && part !== '');
    return { level: typeof level === 'number' ? level : levelOf(level), text: [...new Set(parts)].join(': ') };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function levelOf(label: unknown): number {
  return label === 'fatal' ? 60 : label === 'error' ? 50 : 0;
}
