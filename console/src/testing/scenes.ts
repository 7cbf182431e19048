import { viewOf, type Cluster, type ClusterEvent, type ClusterView, type Metrics, type Pod, type Sample } from '@kube-aurora/cluster-view';
import { VIEWS } from '../../../kubectl-aurora/src/testing/views.ts';
import { healthy, makeCluster, NOW } from '../../../operator/src/testing/fixtures.ts';
import { ran, statusOf } from '../../../operator/src/testing/statuses.ts';
import { ClusterWatch } from '../watch/cluster-watch.ts';
import type { Scrape } from '../watch/scrape.ts';

/** Clusters in several states, as the operator's own functions make them, and programs that say what programs in that state say. */

const onTheWire = <T>(object: object): T => JSON.parse(JSON.stringify(object)) as T;

function manyReaders(count: number): ClusterView {
  const observed = healthy(makeCluster({ spec: { instances: count + 1 }, status: ran({ writer: 'demo-1' }) }));
  const before = statusOf({ ...observed, now: observed.now - 9 * 3_600_000 });
  const status = statusOf({ ...observed, cluster: { ...observed.cluster, status: before } });
  const pods = [...observed.computePods, ...observed.storagePods.values()].map((pod) => onTheWire<Pod>(pod));
  return viewOf(onTheWire<Cluster>({ ...observed.cluster, status }), pods, [], NOW);
}

/** Advice as a writer's agent gives it. */
const ADVICE = [
  {
    id: 'transactionIds',
    severity: 'warning',
    subject: 'shop.orders',
    what: '412 million transactions since its oldest row was frozen: autovacuum begins to force its way at 200 million and does not get through.',
    since: new Date(NOW - 2 * 86_400_000).toISOString(),
    remedy: 'VACUUM (FREEZE, VERBOSE) orders; in a quiet hour, and see which transaction or slot holds it back.',
    query: "SELECT relname, age(relfrozenxid) FROM pg_class WHERE relkind = 'r' ORDER BY 2 DESC LIMIT 10",
  },
  {
    id: 'unusedIndex',
    severity: 'hint',
    subject: 'shop.customers_email_lower_idx',
    what: '318 MiB that nothing has read since statistics began 21 days ago, and that each write keeps up.',
    since: new Date(NOW - 86_400_000).toISOString(),
    remedy: 'DROP INDEX CONCURRENTLY customers_email_lower_idx;',
    query: 'SELECT indexrelname, idx_scan, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE idx_scan = 0',
  },
];

function advised(view: ClusterView): ClusterView {
  const { cluster } = view;
  return { ...view, cluster: { ...cluster, status: { ...cluster.status, advice: ADVICE } } };
}

export interface Scene {
  readonly views: readonly ClusterView[];
  /** Pods that do not answer the console. */
  readonly silent: readonly string[];
}

/** Each pod at an address of its own. */
function addressed(view: ClusterView): ClusterView {
  const cluster = view.cluster.metadata.name;
  return { ...view, pods: view.pods?.map((pod) => ({ ...pod, status: { ...pod.status, podIP: `${pod.metadata.name}.of.${cluster}` } })) };
}

const scene = (view: ClusterView, silent: readonly string[] = []): Scene => ({ views: [addressed(view)], silent });
const named = (view: ClusterView, name: string, namespace: string): ClusterView => ({
  ...view,
  cluster: { ...view.cluster, metadata: { ...view.cluster.metadata, name, namespace } },
  pods: view.pods?.map((pod) => ({
    ...pod,
    metadata: { ...pod.metadata, namespace, labels: { ...pod.metadata.labels, 'kube-aurora.dev/cluster': name } },
  })),
  events: view.events?.map((event) => ({
    ...event,
    metadata: { ...event.metadata, namespace },
    involvedObject: { ...event.involvedObject, name },
  })),
});

export const SCENES = {
  healthy: scene(advised(VIEWS['after a failover'])),
  'failover going on': scene(VIEWS['failover going on'], ['demo-1', 'demo-2']),
  'lost zone': scene(VIEWS['lost zone'], ['demo-storage-0', 'demo-storage-3']),
  'disk full': scene(VIEWS['disk full']),
  'quorum lost': scene(VIEWS['quorum lost'], ['demo-storage-0', 'demo-storage-1', 'demo-storage-3', 'demo-storage-4']),
  'no readers': scene(VIEWS['one copy down, no readers'], ['demo-storage-5']),
  'fifteen readers': scene(manyReaders(15)),
  'several clusters': {
    views: [
      named(VIEWS['after a failover'], 'demo', 'default'),
      named(VIEWS['lost zone'], 'orders', 'shop'),
      named(VIEWS['quorum lost'], 'ledger', 'bank'),
    ].map(addressed),
    silent: [],
  },
  'no cluster': { views: [], silent: [] },
} as const satisfies Readonly<Record<string, Scene>>;
export type SceneName = keyof typeof SCENES;
export const SCENE_NOW = NOW;

/** What the API server would answer. */
export function apiOf({ views }: Scene): { readonly get: <T>(path: string) => Promise<T> } {
  const items = (path: string): readonly unknown[] => {
    if (path.includes('/auroraclusters')) return views.map(({ cluster }) => cluster);
    if (path.startsWith('/api/v1/pods')) return views.flatMap(({ pods }) => pods ?? []);
    return views.flatMap(({ events }): readonly ClusterEvent[] => events ?? []);
  };
  return { get: <T>(path: string) => Promise.resolve({ items: items(path) } as T) };
}

const BOUNDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, Infinity];
const QUICK = [0.03, 0.36, 0.8, 0.985, 0.998, 1, 1, 1];
const SLOW = [0, 0, 0.1, 0.5, 0.85, 0.97, 1, 1];
const WAITS = [
  ['CPU', 'CPU', 0.9],
  ['IO', 'WalSync', 1.1],
  ['IO', 'DataFileRead', 0.35],
  ['Lock', 'transactionid', 0.2],
  ['LWLock', 'WALWrite', 0.15],
  ['Client', 'ClientRead', 0.08],
] as const;

/** Ups and downs over time, the same in every run, so that pictures do not differ. */
const WAVES = [
  { share: 0.12, periodMs: 195_000 },
  { share: 0.06, periodMs: 44_000 },
] as const;

function swing(at: number, periodMs: number): number {
  return [{ share: 0.35, periodMs }, ...WAVES].reduce((sum, wave) => sum + wave.share * Math.sin((2 * Math.PI * at) / wave.periodMs), 1);
}

/** What has grown since a time at `perSecond` on average, with those ups and downs: the integral of `swing`. */
function grown(at: number, since: number, perSecond: number, periodMs: number): number {
  const up = (time: number): number =>
    [{ share: 0.35, periodMs }, ...WAVES].reduce(
      (sum, wave) => sum - ((wave.share * wave.periodMs) / (2 * Math.PI)) * Math.cos((2 * Math.PI * time) / wave.periodMs),
      time,
    );
  return at <= since ? 0 : (perSecond * (up(at) - up(since))) / 1000;
}

/** A program of a scene, as its /metrics would be at `at`. */
export function metricsOf(view: ClusterView, pod: string, at: number): Metrics {
  const startedAt = SCENE_NOW - 3_700_000;
  const status = view.cluster.status;
  const metrics = new Map<string, Sample[]>();
  const put = (name: string, value: number, labels: Record<string, string> = {}): void => {
    const samples = metrics.get(name) ?? [];
    samples.push({ labels, value });
    metrics.set(name, samples);
  };
  const instance = status?.instances?.find(({ name }) => name === pod);
  if (instance === undefined) {
    const full = status?.storage?.segments?.find(({ id }) => id === pod)?.fault === 'DISK_FULL';
    put('aurora_storage_bytes_used', 3.1e9);
    put('aurora_storage_disk_bytes', 10 * 2 ** 30);
    put('aurora_storage_disk_free_bytes', full ? 12 * 2 ** 20 : 6.4 * 2 ** 30);
    return metrics;
  }
  const busy = instance.role === 'writer' ? 1 : 0.4;
  put('aurora_client_connections', Math.round(38 * busy * swing(at, 3_000_000)));
  put('aurora_connections_limit', 197);
  put('aurora_cpu_cores', 1.1 * busy);
  put('aurora_cpu_cores_limit', 2);
  if (instance.role === 'reader')
    put('aurora_reader_lag_seconds', Math.max(0, 0.011 * swing(at + pod.length * 977, 400_000) + (pod.endsWith('7') ? 0.03 : 0)));
  for (const [index, [type, event, share]] of WAITS.entries())
    put('aurora_load_session_seconds_total', grown(at, startedAt, share * busy, 1_700_000 + index * 230_000), { type, event });
  if (instance.role !== 'writer') return metrics;
  const commits = grown(at, startedAt, 820, 2_400_000);
  put('aurora_transactions_total', commits, { outcome: 'committed' });
  // Most are quick; those that are not have ups and downs of their own.
  const slow = grown(at, startedAt, 60, 1_500_000);
  for (const [index, bound] of BOUNDS.entries())
    put('aurora_flush_seconds_bucket', commits * (QUICK[index] ?? 1) + slow * (SLOW[index] ?? 1), {
      le: bound === Infinity ? '+Inf' : String(bound),
    });
  const vdl = Math.round(4_294_967_296 + commits * 1_150);
  put('aurora_vdl_bytes', vdl);
  for (const [index, { id, ready, fault }] of (status?.storage?.segments ?? []).entries()) {
    const missed = grown(at, SCENE_NOW - 240_000, 820, 2_400_000) * 1_150;
    const behind = ready !== true || fault !== undefined ? missed : (index < 4 ? 2_100 : 21_000) * swing(at + index * 1e6, 90_000);
    put('aurora_segment_scl_bytes', Math.round(vdl - behind), { segment: id });
  }
  return metrics;
}

/** Asks the programs of a scene at any time: who is at which address is known by the pod's. */
export function scrapeOf({ views, silent }: Scene, now: () => number): Scrape {
  return (host) => {
    for (const view of views) {
      const pod = view.pods?.find(({ status }) => status?.podIP === host);
      if (pod === undefined) continue;
      const { name } = pod.metadata;
      const at = now();
      // It has been silent for twelve seconds.
      if (silent.includes(name) && at > SCENE_NOW - 12_000) return Promise.reject(new Error(`${host} did not answer within 2500 ms`));
      return Promise.resolve(metricsOf(view, name, at));
    }
    return Promise.reject(new Error(`nobody is at ${host}`));
  };
}

/** The one cluster that most scenes have. */
export function firstView({ views: [view] }: Scene): ClusterView {
  if (view === undefined) throw new Error('the scene has no cluster');
  return view;
}

/** A watch that has seen the last hour of a scene. */
export async function watchedHour(view: ClusterView, scene: Scene): Promise<ClusterWatch> {
  const watch = new ClusterWatch();
  let at = SCENE_NOW - 3_650_000;
  const scrape = scrapeOf(scene, () => at);
  for (; at <= SCENE_NOW; at += 10_000) await watch.look(view.cluster, view.pods ?? [], scrape, () => at);
  return watch;
}
