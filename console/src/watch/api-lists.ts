import { CLUSTER_LABEL, path, type Cluster, type ClusterEvent, type Pod } from '@kube-aurora/cluster-view';
import { unlessForbidden, type KubeApi } from '@kube-aurora/kube-http';
import type { WatchState } from '../answers/answers.ts';

interface Lists {
  readonly clusters: readonly Cluster[];
  /** Undefined where we may not see them. */
  readonly pods: readonly Pod[] | undefined;
  readonly events: readonly ClusterEvent[] | undefined;
}

const NOTHING: Lists = { clusters: [], pods: undefined, events: undefined };
/** The API server's own cache answers: it costs it little, and nothing is waited for. */
const FROM_CACHE = 'resourceVersion=0';

/** What the API server has, as it said last. */
export class ApiLists {
  readonly #api: Pick<KubeApi, 'get'>;
  readonly #namespace: string | undefined;
  readonly #now: () => number;
  #lists = NOTHING;
  #heardAt: number | null = null;
  #silentSince: number | null = null;
  #problem: string | null = null;

  /** @param namespace undefined: all */
  constructor(api: Pick<KubeApi, 'get'>, namespace: string | undefined, now: () => number) {
    this.#api = api;
    this.#namespace = namespace;
    this.#now = now;
  }

  get lists(): Lists {
    return this.#lists;
  }

  get state(): WatchState {
    return { heardAt: this.#heardAt, silentSince: this.#silentSince, problem: this.#problem };
  }

  async refresh(): Promise<void> {
    const items = <T>(of: string): Promise<readonly T[]> => this.#api.get<{ readonly items: readonly T[] }>(of).then((list) => list.items);
    const about = encodeURIComponent('involvedObject.kind=AuroraCluster');
    try {
      const [clusters, pods, events] = await Promise.all([
        items<Cluster>(`${path.clusters(this.#namespace)}?${FROM_CACHE}`),
        unlessForbidden(
          items<Pod>(`${path.core('pods', this.#namespace)}?${FROM_CACHE}&labelSelector=${encodeURIComponent(CLUSTER_LABEL)}`),
        ),
        unlessForbidden(items<ClusterEvent>(`${path.core('events', this.#namespace)}?${FROM_CACHE}&fieldSelector=${about}`)),
      ]);
      this.#lists = { clusters, pods, events };
      this.#heardAt = this.#now();
      this.#silentSince = null;
      this.#problem = null;
    } catch (error) {
      // What it said last stays, and the page says of when that is.
      this.#silentSince ??= this.#now();
      this.#problem = error instanceof Error ? error.message : String(error);
    }
  }
}
