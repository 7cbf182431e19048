import { viewOf, type Cluster, type ClusterView } from '@kube-aurora/cluster-view';
import type { KubeApi } from '@kube-aurora/kube-http';
import type { WatchState } from '../answers/answers.ts';
import { ApiLists } from './api-lists.ts';
import { ClusterWatch } from './cluster-watch.ts';
import type { Scrape } from './scrape.ts';

/** While somebody looks. */
const LOOK_MS = 2_000;
/** Otherwise: for the history alone. */
const REST_MS = 10_000;
/** Whoever has not asked for so long looks no more. */
const VIEWED_MS = 15_000;

export interface ConsoleWatchOptions {
  readonly api: Pick<KubeApi, 'get'>;
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined;
  readonly scrape: Scrape;
  readonly now: () => number;
}

/**
 * Asks the API server and the programs of every cluster how they are: every two seconds those that somebody looks at, every ten the others.
 * It only reads, and nothing depends on it.
 */
export class ConsoleWatch {
  readonly #options: ConsoleWatchOptions;
  readonly #api: ApiLists;
  readonly #clusters = new Map<string, ClusterWatch>();
  readonly #viewedAt = new Map<string, number>();
  readonly #lookedAt = new Map<string, number>();
  #listedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(options: ConsoleWatchOptions) {
    this.#options = options;
    this.#api = new ApiLists(options.api, options.namespace, options.now);
  }

  get state(): WatchState {
    return this.#api.state;
  }

  get clusters(): readonly Cluster[] {
    return this.#api.lists.clusters;
  }

  /** Bytes that the last hour of all clusters takes. */
  get historyBytes(): number {
    return [...this.#clusters.values()].reduce((sum, { history }) => sum + history.bytes, 0);
  }

  /** Somebody looks at this cluster: it is asked more often for a while. Undefined when there is none of that name. */
  view(namespace: string, name: string): { readonly view: ClusterView; readonly watch: ClusterWatch } | undefined {
    const key = `${namespace}/${name}`;
    const { clusters, pods, events } = this.#api.lists;
    const cluster = clusters.find((one) => keyOf(one) === key);
    const watch = this.#clusters.get(key);
    if (cluster === undefined || watch === undefined) return undefined;
    this.#viewedAt.set(key, this.#options.now());
    return { view: viewOf(cluster, pods, events, this.#options.now()), watch };
  }

  start(): void {
    const next = (): void => {
      this.#round = this.round().finally(() => {
        if (this.#timer !== undefined) this.#timer = setTimeout(next, LOOK_MS);
      });
    };
    this.#timer = setTimeout(next, 0);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#round;
  }

  /** Whatever is due. */
  async round(): Promise<void> {
    const { now, scrape } = this.#options;
    const at = now();
    for (const [key, viewedAt] of this.#viewedAt) if (at - viewedAt > VIEWED_MS) this.#viewedAt.delete(key);
    if (at - this.#listedAt >= (this.#viewedAt.size > 0 ? LOOK_MS : REST_MS) - LOOK_MS / 2) {
      this.#listedAt = at;
      await this.#api.refresh();
    }
    const { clusters, pods = [] } = this.#api.lists;
    const keys = new Set(clusters.map(keyOf));
    for (const key of this.#clusters.keys())
      if (!keys.has(key)) for (const map of [this.#clusters, this.#lookedAt, this.#viewedAt]) map.delete(key);
    await Promise.all(
      clusters.map(async (cluster) => {
        const key = keyOf(cluster);
        let watch = this.#clusters.get(key);
        if (watch === undefined) this.#clusters.set(key, (watch = new ClusterWatch()));
        const dueMs = this.#viewedAt.has(key) ? LOOK_MS : REST_MS;
        if (at - (this.#lookedAt.get(key) ?? -Infinity) < dueMs - LOOK_MS / 2) return;
        this.#lookedAt.set(key, at);
        const own = viewOf(cluster, pods, undefined, at).pods ?? [];
        await watch.look(cluster, own, scrape, now);
      }),
    );
  }
}

function keyOf({ metadata }: Cluster): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
