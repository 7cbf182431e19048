import { renameSync, writeFileSync } from 'node:fs';
import { CoreV1Api, type V1Pod } from '@kubernetes/client-node';
import { loadKubeConfig } from './cluster-connection.ts';

const CLUSTER = 'kube-aurora.dev/cluster';
const METRICS_PORT = 'metrics';
const LOOK_EVERY_MS = 3000;

/** A group of Prometheus' file_sd. */
export interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Who is to be scraped, with the labels that the PodMonitors give (deploy/monitoring/pod-monitors.yaml). Pure. */
export function targetsOf(pods: readonly V1Pod[]): TargetGroup[] {
  return pods.flatMap(({ metadata, spec, status }) => {
    const port = spec?.containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === METRICS_PORT)?.containerPort;
    if (port === undefined || status?.podIP === undefined) return [];
    const label = (name: string): string => metadata?.labels?.[`kube-aurora.dev/${name}`] ?? '';
    const labels = {
      namespace: metadata?.namespace ?? '',
      pod: metadata?.name ?? '',
      kube_aurora_dev_cluster: label('cluster'),
      kube_aurora_dev_component: label('component'),
      kube_aurora_dev_role: label('role'),
    };
    return [{ targets: [`${status.podIP}:${port}`], labels }];
  });
}

/** Keeps a file of targets as the pods are: distributions build Prometheus without the part that asks an API server. */
export function keepTargets(file: string): void {
  const core = loadKubeConfig().makeApiClient(CoreV1Api);
  let written = '';
  const look = async (): Promise<void> => {
    try {
      const { items } = await core.listPodForAllNamespaces({ labelSelector: CLUSTER });
      const text = JSON.stringify(targetsOf(items));
      if (text === written) return;
      // Nobody reads half of one.
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
      written = text;
    } catch {
      // The API server is away for a while: the targets of before stay, and the next look comes.
    }
  };
  void look();
  setInterval(() => void look(), LOOK_EVERY_MS).unref();
}
