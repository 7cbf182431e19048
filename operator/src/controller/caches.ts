import type { KubeConfig } from '@kubernetes/client-node';
import type { Logger } from '@kube-aurora/process';
import { CLUSTERS } from '../api/cluster-resource.ts';
import { LABEL, MANAGER_SELECTOR, storageName } from '../api/names.ts';
import { segmentIds, SegmentMap } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { KubeApi } from '../kube/client.ts';
import { KindInformer } from '../kube/informer.ts';
import {
  isNodeReady,
  objectKey,
  type DisruptionBudget,
  type ConfigMap,
  type KubeObject,
  type Node,
  type Pod,
  type Secret,
  type Service,
  type StorageClass,
  type VolumeClaim,
} from '../kube/objects.ts';
import { RESOURCE, type Resource } from '../kube/resources.ts';
import { canonicalJson } from '../specs/metadata.ts';

export interface CachesOptions {
  readonly api: KubeApi;
  readonly config: () => KubeConfig;
  /** Empty: all namespaces. */
  readonly namespace: string;
  readonly logger: Logger;
  /** Called with the key (`namespace/name`) of a cluster that something happened to. */
  readonly onCluster: (key: string) => void;
  readonly now: () => number;
  readonly random: () => number;
}

export interface ClusterParts {
  readonly claims: SegmentMap<VolumeClaim>;
  readonly cacheClaims: ReadonlyMap<string, VolumeClaim>;
  readonly storagePods: SegmentMap<Pod>;
  readonly computePods: readonly Pod[];
  readonly services: ReadonlyMap<string, Service>;
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly budgets: ReadonlyMap<string, DisruptionBudget>;
  readonly configMaps: ReadonlyMap<string, ConfigMap>;
}

/** One informer per kind for all clusters, and the parts of one cluster picked out of them. */
export class Caches {
  readonly clusters: KindInformer<AuroraCluster>;
  readonly pods: KindInformer<Pod>;
  readonly claims: KindInformer<VolumeClaim>;
  readonly services: KindInformer<Service>;
  readonly secrets: KindInformer<Secret>;
  readonly budgets: KindInformer<DisruptionBudget>;
  readonly configMaps: KindInformer<ConfigMap>;
  readonly nodes: KindInformer<Node>;
  readonly storageClasses: KindInformer<StorageClass>;
  readonly #nodeDigests = new Map<string, string>();

  constructor(options: CachesOptions) {
    const { onCluster } = options;
    const common = { api: options.api, config: options.config, logger: options.logger, now: options.now, random: options.random };
    const managed = <T extends KubeObject>(resource: Resource<'list' | 'watch'>): KindInformer<T> =>
      new KindInformer<T>({
        ...common,
        resource,
        namespace: options.namespace,
        labelSelector: MANAGER_SELECTOR,
        onChange: ({ metadata }) => {
          const cluster = metadata.labels?.[LABEL.cluster];
          if (cluster !== undefined) onCluster(`${metadata.namespace ?? ''}/${cluster}`);
        },
      });
    this.clusters = new KindInformer<AuroraCluster>({
      ...common,
      resource: CLUSTERS,
      namespace: options.namespace,
      onChange: (cluster) => onCluster(objectKey(cluster)),
    });
    this.pods = managed<Pod>(RESOURCE.pods);
    this.claims = managed<VolumeClaim>(RESOURCE.volumeClaims);
    this.services = managed<Service>(RESOURCE.services);
    this.secrets = managed<Secret>(RESOURCE.secrets);
    this.budgets = managed<DisruptionBudget>(RESOURCE.disruptionBudgets);
    this.configMaps = managed<ConfigMap>(RESOURCE.configMaps);
    this.storageClasses = new KindInformer<StorageClass>({
      ...common,
      resource: RESOURCE.storageClasses,
      namespace: '',
      // Classes change seldom, and then a size may come within reach.
      onChange: () => {
        for (const cluster of this.clusters.list()) onCluster(objectKey(cluster));
      },
    });
    this.nodes = new KindInformer<Node>({
      ...common,
      resource: RESOURCE.nodes,
      namespace: '',
      onChange: (node) => {
        if (this.#isNodeNews(node)) for (const cluster of this.clusters.list()) onCluster(objectKey(cluster));
      },
    });
  }

  get all(): readonly {
    readonly plural: string;
    readonly synced: boolean;
    readonly brokenForMs: number;
    start: () => void;
    stop: () => void;
  }[] {
    return [
      this.nodes,
      this.storageClasses,
      this.clusters,
      this.pods,
      this.claims,
      this.services,
      this.secrets,
      this.configMaps,
      this.budgets,
    ];
  }

  get synced(): boolean {
    return this.all.every(({ synced }) => synced);
  }

  start(): void {
    for (const informer of this.all) informer.start();
  }

  stop(): void {
    for (const informer of this.all) informer.stop();
  }

  partsOf(namespace: string, name: string): ClusterParts {
    const ours = <T extends KubeObject>(informer: KindInformer<T>): readonly T[] =>
      informer.list().filter(({ metadata }) => metadata.namespace === namespace && metadata.labels?.[LABEL.cluster] === name);
    const indexed = <T extends KubeObject>(objects: readonly T[]): SegmentMap<T> => {
      const byName = new Map(objects.map((object) => [object.metadata.name, object]));
      return new SegmentMap(
        segmentIds.flatMap((segment) => {
          const object = byName.get(storageName(name, segment));
          return object === undefined ? [] : [[segment, object] as const];
        }),
      );
    };
    const named = <T extends KubeObject>(objects: readonly T[]): ReadonlyMap<string, T> =>
      new Map(objects.map((object) => [object.metadata.name, object]));
    const pods = ours(this.pods);
    const claims = ours(this.claims);
    return {
      claims: indexed(claims),
      cacheClaims: named(claims.filter(({ metadata }) => metadata.labels?.[LABEL.component] === 'compute')),
      storagePods: indexed(pods.filter(({ metadata }) => metadata.labels?.[LABEL.component] === 'storage')),
      computePods: pods
        .filter(({ metadata }) => metadata.labels?.[LABEL.component] === 'compute')
        .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)),
      services: named(ours(this.services)),
      secrets: named(ours(this.secrets)),
      budgets: named(ours(this.budgets)),
      configMaps: named(ours(this.configMaps)),
    };
  }

  /** Kubelets touch their Node often; only what decides whether pods may go there concerns us. */
  #isNodeNews(node: Node): boolean {
    const { name } = node.metadata;
    const known = this.nodes.get('', name) !== undefined;
    const digest = known
      ? canonicalJson([isNodeReady(node), node.spec?.unschedulable === true, node.metadata.labels, node.spec?.taints])
      : 'gone';
    if (this.#nodeDigests.get(name) === digest) return false;
    if (known) this.#nodeDigests.set(name, digest);
    else this.#nodeDigests.delete(name);
    return true;
  }
}
