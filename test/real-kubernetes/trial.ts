/** A cluster on trial, in a namespace of its own, and what is to be known of it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AuroraCluster } from '../../operator/src/api/types.ts';
import type { AuroraClusterStatus } from '../../operator/src/api/status-types.ts';
import type { ClientPod } from './client-pod.ts';
import type { Kubectl } from './kubectl.ts';

export interface PodInfo {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly nodeName?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

interface PodList {
  readonly items: readonly PodInfo[];
}

export interface NodeInfo {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly unschedulable?: boolean };
}

export interface TrialOptions {
  readonly kubectl: Kubectl;
  readonly namespace: string;
  readonly operatorNamespace: string;
  readonly zones: readonly string[];
  readonly storageClass: string | undefined;
  /** What each pod of the cluster asks for; undefined: the defaults. */
  readonly podCpu: string | undefined;
}

const CLUSTER = 'trial';
const SEGMENTS = 6;
/** The operator's on pods; ours on the cluster as well, so that one selector finds both. */
const OWN_LABEL = 'kube-aurora.dev/cluster';
const POLL_MS = 500;

export class Trial {
  readonly kubectl: Kubectl;
  readonly namespace: string;
  readonly name = CLUSTER;
  readonly #options: TrialOptions;
  #client: ClientPod | undefined;

  constructor(options: TrialOptions) {
    this.#options = options;
    this.kubectl = options.kubectl;
    this.namespace = options.namespace;
  }

  get client(): ClientPod {
    if (this.#client === undefined) throw new Error('no client runs yet');
    return this.#client;
  }

  set client(client: ClientPod) {
    this.#client = client;
  }

  get ref(): readonly string[] {
    return ['--namespace', this.namespace];
  }

  get operatorRef(): readonly string[] {
    return ['--namespace', this.#options.operatorNamespace];
  }

  /** Where its Deployment is: a console's may stand beside it. */
  get operatorDeployment(): readonly string[] {
    return ['deployments', ...this.operatorRef, '--selector', 'app.kubernetes.io/component=operator'];
  }

  /** Gives whether it was made: one that is there stays as it is, with its policies. */
  async makeNamespace(): Promise<boolean> {
    const found = await this.kubectl.run(['get', 'namespace', this.namespace, '--ignore-not-found', '--output=name']);
    if (found !== '') return false;
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await this.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.namespace, labels } });
    return true;
  }

  async create(instances: number): Promise<void> {
    const { zones, storageClass, podCpu } = this.#options;
    const asks = podCpu === undefined ? {} : { resources: { requests: { cpu: podCpu, memory: '256Mi' } } };
    await this.kubectl.apply({
      apiVersion: 'kube-aurora.dev/v1alpha1',
      kind: 'AuroraCluster',
      metadata: { name: CLUSTER, namespace: this.namespace, labels: { [OWN_LABEL]: CLUSTER } },
      spec: {
        instances,
        storage: { size: '1Gi', zones, ...(storageClass === undefined ? {} : { storageClassName: storageClass }), ...asks },
        compute: asks,
      },
    });
  }

  async status(): Promise<AuroraClusterStatus> {
    return (await this.kubectl.get<AuroraCluster>('auroracluster', CLUSTER, ...this.ref)).status ?? {};
  }

  async pods(selector = `${OWN_LABEL}=${CLUSTER}`): Promise<readonly PodInfo[]> {
    return (await this.kubectl.get<PodList>('pods', ...this.ref, '--selector', selector)).items;
  }

  /** The pod that NAME-rw leads to. */
  async writer(): Promise<PodInfo> {
    const found = await this.pods(`kube-aurora.dev/cluster=${CLUSTER},kube-aurora.dev/role=writer`);
    const writer = found.find(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (writer === undefined) throw new Error('no pod has the role of the writer');
    return writer;
  }

  async nodes(): Promise<readonly NodeInfo[]> {
    return (await this.kubectl.get<{ items: readonly NodeInfo[] }>('nodes')).items;
  }

  /** The operator that works. */
  async leader(): Promise<PodInfo> {
    const [lease] = (
      await this.kubectl.get<{ items: readonly { metadata: { name: string }; spec: { holderIdentity?: string } }[] }>(
        'leases',
        ...this.operatorRef,
      )
    ).items.filter(({ metadata }) => metadata.name.includes('operator'));
    const pods = (await this.kubectl.get<PodList>('pods', ...this.operatorRef)).items;
    const holder = lease?.spec.holderIdentity ?? '';
    const leader = pods.find(({ metadata }) => holder === metadata.name || holder.startsWith(`${metadata.name}_`));
    if (leader === undefined) throw new Error(`no operator's pod holds the lease; it names '${holder}'`);
    return leader;
  }

  /** Throws, with what the cluster says of itself, when it does not come true. */
  async until(what: string, isTrue: (status: AuroraClusterStatus, pods: readonly PodInfo[]) => boolean, withinMs = 300_000): Promise<void> {
    const until = Date.now() + withinMs;
    for (;;) {
      const { status, pods } = await this.#look();
      if (isTrue(status, pods)) return;
      if (Date.now() > until) {
        const said = `${status.phase ?? ''} ${status.message ?? ''}`;
        throw new Error(`after ${withinMs / 1000} s not yet: ${what}. The cluster says: ${said}`);
      }
      await delay(POLL_MS);
    }
  }

  /** The cluster and its pods, by one call: each costs as much as a program's start. */
  async #look(): Promise<{ status: AuroraClusterStatus; pods: readonly PodInfo[] }> {
    const selector = `${OWN_LABEL}=${CLUSTER}`;
    const { items } = await this.kubectl.get<{ items: readonly (AuroraCluster | (PodInfo & { kind: 'Pod' }))[] }>(
      'auroraclusters,pods',
      ...this.ref,
      '--selector',
      selector,
    );
    const isPod = (item: (typeof items)[number]): item is PodInfo & { kind: 'Pod' } => item.kind === 'Pod';
    const cluster = items.find((item): item is AuroraCluster => !isPod(item));
    return { status: cluster?.status ?? {}, pods: items.filter(isPod) };
  }

  /** All six copies and all instances, in the pods and in the status. */
  async untilWhole(instances: number, withinMs?: number): Promise<void> {
    await this.until(
      `six copies, a writer and ${instances - 1} readers`,
      (status, pods) =>
        status.phase === 'Ready' &&
        status.storage?.ready === SEGMENTS &&
        status.instances?.length === instances &&
        status.instances.every(({ state, ready }) => ready && state === 'Serving') &&
        pods.length === SEGMENTS + instances &&
        pods.every(isReady),
      withinMs,
    );
  }

  /** Nothing to do when it was never made. */
  async remove(): Promise<void> {
    if ((await this.kubectl.run(['get', 'auroracluster', CLUSTER, ...this.ref, '--ignore-not-found', '--output=name'])) === '') return;
    const unprotected = JSON.stringify({ spec: { deletionProtection: false } });
    await this.kubectl.run(['patch', 'auroracluster', CLUSTER, ...this.ref, '--type=merge', '-p', unprotected]);
    await this.kubectl.run(['delete', 'auroracluster', CLUSTER, ...this.ref, '--timeout=120s']);
    const until = Date.now() + 120_000;
    while ((await this.pods()).length > 0) {
      if (Date.now() > until) throw new Error('pods of the cluster are there two minutes after it was deleted');
      await delay(POLL_MS);
    }
  }
}

export function isReady({ metadata, status }: PodInfo): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true
  );
}
