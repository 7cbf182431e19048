import { writeFileSync } from 'node:fs';
import { fetchMetrics } from '../figures/fetch-metrics.ts';
import { findCluster } from '../find-cluster.ts';
import { ApiError, type KubeApi } from '@kube-aurora/kube-http';
import { CLUSTER_LABEL, path, type Cluster, type Pod } from '@kube-aurora/cluster-view';
import type { LogEntry } from '../logs/log-entry.ts';
import { operatorPods, readLog } from '../logs/logs-command.ts';
import { gather } from '../status/gather.ts';
import type { Surroundings } from '../surroundings.ts';
import { VERSION } from '../version.ts';
import { reportFiles } from './report-files.ts';
import { zip } from './zip.ts';

export interface ReportRequest {
  readonly namespace: string;
  readonly name: string | undefined;
  /** Undefined: one in the present directory, by the cluster's name and the time. */
  readonly file: string | undefined;
  /** Lines of each log. */
  readonly tail: number;
}

const KINDS = ['services', 'persistentvolumeclaims', 'configmaps'] as const;
/** Keys of a Secret that are no secrets: they stand in manifests as well. */
const PUBLIC_KEYS = new Set(['username', 'dbname', 'port', 'ca.crt', 'tls.crt', 'sslmode']);
const IS_ADDRESS = /^(host|fqdn-host)/;

/** Reads everything that helps to find out what is wrong, and writes it to a file without what is secret. */
export async function reportCommand(request: ReportRequest, around: Surroundings): Promise<void> {
  const { api, now, write } = around;
  const { namespace } = request;
  const { name } = (await findCluster(api, namespace, request.name)).metadata;
  const troubles: string[] = [];
  const readable = async <T>(what: string, answer: Promise<T>): Promise<T | undefined> => {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      troubles.push(`${what}: ${error.message}`);
      return undefined;
    }
  };
  const gathered = await gather(api, { namespace, name }, now);
  if (gathered.kind !== 'one') throw new TypeError('a cluster that is named is one');
  const { view } = gathered;
  const selector = encodeURIComponent(`${CLUSTER_LABEL}=${name}`);
  const objects = new Map<string, readonly unknown[]>([['pods', view.pods ?? []]]);
  for (const kind of KINDS) {
    const found = await readable(
      kind,
      api.get<{ readonly items: readonly unknown[] }>(`${path.core(kind, namespace)}?labelSelector=${selector}`),
    );
    if (found !== undefined) objects.set(kind, found.items);
  }
  const secrets = await readable('Secrets, to take what they hold out', secretValues(api, view.cluster));
  // Where there is no operator's pod there is no log of one.
  const operator = await operatorPods(api).catch((error: unknown) => {
    troubles.push(`the operator's log: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  });
  const logs = await logsOf(api, [...(view.pods ?? []), ...operator], request.tail, (trouble) => void troubles.push(`log of ${trouble}`));
  const metrics = new Map<string, string>();
  const figures = await fetchMetrics(api, view.pods ?? [], (pod, text) => void metrics.set(pod, text));
  for (const [pod, why] of figures.missing) troubles.push(`metrics of ${pod}: ${why}`);
  const at = new Date(now());
  const file = request.file ?? `aurora-${name}-${at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}.zip`;
  const files = reportFiles({ view, objects, logs, figures, metrics, secrets, troubles, version: VERSION });
  const bytes = zip(files, at);
  writeFileSync(file, bytes, { mode: 0o600 });
  write(
    `${file}: ${files.length} files, ${Math.ceil(bytes.length / 1024)} KiB; ${secrets === undefined ? 'look through it before you pass it on' : 'without the cluster’s passwords'}\n`,
  );
}

/** What the cluster's Secrets hold; never written anywhere. */
async function secretValues(api: KubeApi, { metadata, status }: Cluster): Promise<readonly string[]> {
  const names = [status?.secrets?.app ?? `${metadata.name}-app`, status?.secrets?.superuser ?? `${metadata.name}-superuser`];
  const secrets = await Promise.all(
    names.map((secret) => api.get<{ readonly data?: Readonly<Record<string, string>> }>(path.core('secrets', metadata.namespace, secret))),
  );
  return secrets.flatMap(({ data = {} }) =>
    Object.entries(data)
      .filter(([key]) => !PUBLIC_KEYS.has(key) && !IS_ADDRESS.test(key))
      .map(([, value]) => Buffer.from(value, 'base64').toString('utf8').trim()),
  );
}

async function logsOf(
  api: KubeApi,
  pods: readonly Pod[],
  tail: number,
  say: (text: string) => void,
): Promise<Map<string, readonly LogEntry[]>> {
  const how = { follow: false, sinceSeconds: undefined, tail };
  const logs = new Map<string, readonly LogEntry[]>();
  await Promise.all(
    pods.map(async (pod) => {
      const { name } = pod.metadata;
      logs.set(name, await readLog(api, pod, { ...how, previous: false }, say));
      const hasRunBefore = pod.status?.containerStatuses?.some(({ restartCount = 0 }) => restartCount > 0) === true;
      if (hasRunBefore) logs.set(`${name}.previous`, await readLog(api, pod, { ...how, previous: true }, say));
    }),
  );
  return new Map([...logs].toSorted(([a], [b]) => a.localeCompare(b)));
}
