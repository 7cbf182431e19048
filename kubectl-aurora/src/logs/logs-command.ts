import { pause } from '@kube-aurora/clock';
import { findCluster } from '../find-cluster.ts';
import { ApiError, type KubeApi } from '@kube-aurora/kube-http';
import { FailedError } from '../kube/errors.ts';
import { CLUSTER_LABEL, path, type Pod } from '@kube-aurora/cluster-view';
import type { Surroundings } from '../surroundings.ts';
import { choosePods, type LogChoice } from './choose-pods.ts';
import { byTime, formatEntry, readLogLine, type LogEntry, type LogFormat } from './log-entry.ts';

export interface LogsRequest extends LogChoice {
  readonly namespace: string;
  readonly name: string | undefined;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly format: LogFormat;
  readonly tail: number | undefined;
  readonly sinceSeconds: number | undefined;
}

/** Of each pod, where nothing else is said. */
const TAIL = 20;
/** Lines of several pods that come within this are put in order. */
const ORDER_MS = 300;
const OPERATOR_SELECTOR = 'app.kubernetes.io/name=kube-aurora,app.kubernetes.io/component=operator';

export async function logsCommand(request: LogsRequest, around: Surroundings & { readonly say: (text: string) => void }): Promise<void> {
  const { api, write, say, signal } = around;
  const pods = await podsOf(api, request);
  const width = Math.max(...pods.map(({ metadata }) => metadata.name.length));
  const print = (entries: readonly LogEntry[]): void => {
    const screen = around.screen();
    const lines = byTime(entries).map((entry) => `${formatEntry(entry, width, request.format, screen)}\n`);
    if (lines.length > 0) write(lines.join(''));
  };
  if (!request.follow) return print((await Promise.all(pods.map((pod) => readLog(api, pod, request, say)))).flat());
  let waiting: LogEntry[] = [];
  let open = pods.length;
  const streams = pods.map(async (pod) => {
    try {
      for await (const entry of followLog(api, pod, request, signal)) waiting.push(entry);
    } catch (error) {
      tell(pod, error, say);
    } finally {
      open -= 1;
    }
  });
  while (open > 0 && !signal.aborted) {
    await pause(ORDER_MS, signal);
    const now = waiting;
    waiting = [];
    print(now);
  }
  await Promise.all(streams);
  print(waiting);
}

async function podsOf(api: KubeApi, request: LogsRequest): Promise<readonly Pod[]> {
  const cluster = await findCluster(api, request.namespace, request.name);
  const selector = encodeURIComponent(`${CLUSTER_LABEL}=${cluster.metadata.name}`);
  const { items } = await api.get<{ readonly items: readonly Pod[] }>(`${path.core('pods', request.namespace)}?labelSelector=${selector}`);
  return [...choosePods(cluster, items, request), ...(request.operator ? await operatorPods(api) : [])];
}

/** In whichever namespace it runs. */
export async function operatorPods(api: KubeApi): Promise<readonly Pod[]> {
  const { items } = await api.get<{ readonly items: readonly Pod[] }>(
    `${path.core('pods', undefined)}?labelSelector=${encodeURIComponent(OPERATOR_SELECTOR)}`,
  );
  if (items.length > 0) return items;
  throw new FailedError(
    `no pod of an operator is there (${OPERATOR_SELECTOR}). Under 'npm start' it is a process of that machine, and its log is logs/operator.log in .kube-aurora or KUBE_AURORA_HOME.`,
  );
}

function logPath(
  { metadata }: Pod,
  { previous, tail, sinceSeconds, follow }: Omit<LogsRequest, keyof LogChoice | 'namespace' | 'name' | 'format'>,
): string {
  const lines = tail ?? (sinceSeconds === undefined ? TAIL : undefined);
  const query = new URLSearchParams({
    timestamps: 'true',
    ...(lines === undefined ? {} : { tailLines: String(lines) }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds: String(sinceSeconds) }),
    ...(previous ? { previous: 'true' } : {}),
    ...(follow ? { follow: 'true' } : {}),
  });
  return `${path.core('pods', metadata.namespace, metadata.name)}/log?${query.toString()}`;
}

/** A pod's lines; one that has no log (it has not started, say) is told of and left out. */
export async function readLog(
  api: KubeApi,
  pod: Pod,
  how: Omit<LogsRequest, keyof LogChoice | 'namespace' | 'name' | 'format'>,
  say: (text: string) => void,
): Promise<readonly LogEntry[]> {
  try {
    const text = await api.text(logPath(pod, how));
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => readLogLine(pod.metadata.name, line));
  } catch (error) {
    tell(pod, error, say);
    return [];
  }
}

async function* followLog(api: KubeApi, pod: Pod, request: LogsRequest, signal: AbortSignal): AsyncGenerator<LogEntry> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of api.stream(logPath(pod, request), signal)) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield readLogLine(pod.metadata.name, line);
  }
  if (rest !== '') yield readLogLine(pod.metadata.name, rest);
}

function tell(pod: Pod, error: unknown, say: (text: string) => void): void {
  if (!(error instanceof ApiError)) throw error;
  say(`${pod.metadata.name}: ${error.message}`);
}
