import type { IssueContext } from '@kube-aurora/identity/issue';
import type { Connect, Logger } from '@kube-aurora/process';
import { CLUSTERS } from '../api/cluster-resource.ts';
import { withDefaults } from '../api/defaults.ts';
import { PORT } from '../api/names.ts';
import { API_GROUP_VERSION, CLUSTER_KIND, type AuroraCluster } from '../api/types.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import { ApiError, isConflict, isNotFound } from '@kube-aurora/kube-http';
import type { HandoverMetrics } from '../handover-metrics.ts';
import type { KubeApi } from '../kube/client.ts';
import type { PromotionReply } from '../kube/ask-promotion.ts';
import { isTerminating, type Pod, type Secret } from '../kube/objects.ts';
import { mergePatch } from '../kube/merge-patch.ts';
import { RESOURCE } from '../kube/resources.ts';
import { canonicalJson, clusterKey } from '../specs/metadata.ts';
import { givenSecretNames } from '../specs/secrets.ts';
import { computeStatus } from '../status/compute-status.ts';
import { handoversBetween } from '../status/handovers.ts';
import { noticesOf } from '../status/transitions.ts';
import type { Action, Obstacle } from '../plan/actions.ts';
import type { ClusterParts } from './caches.ts';
import type { GivenSecrets } from './given-secrets.ts';
import type { OperatorTls } from './operator-tls.ts';
import type { EventRecorder } from './event-recorder.ts';
import { computeState, SILENT_AGENT_MS, SILENT_MS, TRUST_READINESS_MS, type Observed, type PromotionAnswer } from '../observed/observed.ts';
import { deadNode } from '../plan/pod-health.ts';
import { planInstances, readersOf, surplusPods, writerOf } from '../plan/plan-instances.ts';
import { perform, type Outcome, type ServiceAccountName } from './perform.ts';
import { settingsVerdict } from '../plan/plan-settings.ts';
import { planCluster, takesWriterAway, type ClusterPlan, type DefaultImages } from '../plan/plan.ts';
import type { ProbeTarget, StatusProber } from './status-prober.ts';

/** While something changes, agents and daemons are asked this often; when all is well, this seldom. */
const POLL_CHANGING_MS = 2_000;
const POLL_STEADY_MS = 10_000;
/** The steady pace where readers are: their lag is told by these answers. */
const POLL_READERS_MS = 2_000;
/** A pod is ready and its program's word is missing, or its node is said to be down: people wait for the answer. */
const POLL_URGENT_MS = 250;
const STALE_RETRY_MS = 500;

export interface ControllerOptions {
  readonly api: KubeApi;
  readonly caches: {
    readonly clusters: { get: (namespace: string, name: string) => AuroraCluster | undefined };
    readonly nodes: { list: () => Observed['nodes'] };
    readonly storageClasses: { list: () => Observed['storageClasses'] };
    partsOf: (namespace: string, name: string) => ClusterParts;
  };
  readonly prober: StatusProber;
  readonly givenSecrets: Pick<GivenSecrets, 'follow' | 'forget'>;
  readonly events: EventRecorder;
  /** Counts who took the writer's place. */
  readonly handovers: Pick<HandoverMetrics, 'follow' | 'count' | 'forget'>;
  /** Asks an agent to take the writer's place. */
  readonly askPromotion: (ip: string, request: string, connect: Connect | undefined) => Promise<PromotionReply>;
  /** How programs of a cluster are reached. */
  readonly tls: Pick<OperatorTls, 'connectTo' | 'forget'>;
  /** What certificates are made with. */
  readonly issuing: () => IssueContext;
  /** Whose tokens computes review those of their clients with; undefined: there is no such ServiceAccount. */
  readonly tokenReviewer: ServiceAccountName | undefined;
  /** Everybody has seen a change of a Secret after so many milliseconds. */
  readonly certificateSpreadMs: number;
  readonly images: DefaultImages;
  /** A protected cluster that is deleted is held by our finalizer, and goes on. */
  readonly holdsProtected: boolean;
  readonly logger: Logger;
  readonly now: () => number;
  readonly newPassword: () => string;
  readonly again: (key: string, afterMs: number) => void;
}

/** What one operator process remembers of a cluster between two reconciles: all of it can be lost. */
interface Memory {
  readonly uid: string | undefined;
  /** The status last written: the cache may be behind our own write. */
  status?: AuroraClusterStatus;
  promotion?: PromotionAnswer;
  /** By an instance's name. */
  readonly avoidZones: Map<string, string>;
}

/** Brings each cluster to its spec: observe, plan, act, write the status. */
export class ClusterController {
  readonly #options: ControllerOptions;
  readonly #memories = new Map<string, Memory>();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** Clusters with their last status, for metrics and /status. */
  get known(): ReadonlyMap<string, AuroraClusterStatus> {
    return new Map([...this.#memories].flatMap(([key, { status }]) => (status === undefined ? [] : [[key, status] as const])));
  }

  /** Works on one cluster. Rejects when the API server could not be asked; then it is to be called again. */
  async reconcile(key: string): Promise<void> {
    const { caches, prober, givenSecrets, handovers, again } = this.#options;
    const [namespace = '', name = ''] = key.split('/');
    const cached = caches.clusters.get(namespace, name);
    if (cached === undefined) {
      this.#memories.delete(key);
      prober.forget(key);
      givenSecrets.forget(key);
      this.#options.tls.forget(key);
      handovers.forget(key);
      return;
    }
    let memory = this.#memories.get(key);
    if (memory === undefined || memory.uid !== cached.metadata.uid) {
      memory = { uid: cached.metadata.uid, avoidZones: new Map() };
      this.#memories.set(key, memory);
    }
    handovers.follow(key);
    const observed = await this.#observe(key, cached, memory);
    const plan = planCluster(observed, this.#options.images, this.#options.certificateSpreadMs);
    const shown = await this.#announce(observed, plan, cached.status, memory);
    const outcome = await this.#act(observed, plan, memory);
    const fullPlan = { ...plan, obstacles: [...plan.obstacles, ...outcome.obstacles] };
    await this.#writeStatus(observed, fullPlan, shown, memory);
    this.#keepAsking(key, observed, fullPlan, memory);
    const againInMs = outcome.stale ? Math.min(STALE_RETRY_MS, plan.againInMs ?? STALE_RETRY_MS) : plan.againInMs;
    if (againInMs !== undefined) again(key, againInMs);
    if (outcome.failure !== undefined) throw outcome.failure;
  }

  async #observe(key: string, cached: AuroraCluster, memory: Memory): Promise<Observed> {
    const { caches, prober, givenSecrets, now } = this.#options;
    const { namespace = '', name } = cached.metadata;
    const status = memory.status ?? cached.status;
    const { status: _old, ...rest } = cached;
    const spec = withDefaults(cached.spec);
    const { deletionTimestamp, ...living } = cached.metadata;
    const held = this.#options.holdsProtected && spec.deletionProtection ? deletionTimestamp : undefined;
    const cluster: AuroraCluster = {
      ...rest,
      apiVersion: API_GROUP_VERSION,
      kind: CLUSTER_KIND,
      metadata: held === undefined ? cached.metadata : living,
      spec,
      ...(status === undefined ? {} : { status }),
    };
    const parts = caches.partsOf(namespace, name);
    const secrets = new Map(parts.secrets);
    const given = givenSecretNames(cluster);
    givenSecrets.follow(key, namespace, given);
    for (const secretName of given) {
      const secret = await this.#givenSecret(namespace, secretName);
      if (secret !== undefined) secrets.set(secretName, secret);
    }
    return {
      cluster,
      ...parts,
      secrets,
      nodes: caches.nodes.list(),
      storageClasses: caches.storageClasses.list(),
      ...prober.reports(key),
      now: now(),
      ...(held === undefined ? {} : { heldSince: String(held) }),
      ...(memory.promotion === undefined ? {} : { promotion: memory.promotion }),
      avoidZones: new Map(memory.avoidZones),
    };
  }

  /** Secrets that people made carry no label of ours, so no cache holds them. */
  async #givenSecret(namespace: string, name: string): Promise<Secret | undefined> {
    try {
      return await this.#options.api.get<Secret>(RESOURCE.secrets, namespace, name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #act(observed: Observed, plan: ClusterPlan, memory: Memory): Promise<{ obstacles: Obstacle[]; stale: boolean; failure?: Error }> {
    const { api, events, logger, newPassword, issuing, tokenReviewer } = this.#options;
    const { cluster } = observed;
    const obstacles: Obstacle[] = [];
    let stale = false;
    let failure: Error | undefined;
    for (const action of plan.actions) {
      if (action.kind === 'ask-promotion') {
        await this.#askPromotion(observed, action, memory);
        continue;
      }
      const outcome: Outcome = await perform(action, { api, cluster, newPassword, issuing, tokenReviewer });
      if (outcome.kind === 'done') {
        const target =
          action.kind === 'apply'
            ? action.object
            : 'service' in action
              ? action.service
              : 'pod' in action
                ? action.pod
                : 'claim' in action
                  ? action.claim
                  : undefined;
        logger.info(
          {
            ...logged(cluster),
            action: action.kind,
            object: target?.metadata.name,
            why: 'why' in action ? action.why : undefined,
          },
          'did',
        );
        if (action.kind === 'delete-pod' && action.avoidZone !== undefined)
          memory.avoidZones.set(action.pod.metadata.name, action.avoidZone);
        if ('notice' in action && action.notice !== undefined) events.record(cluster, action.notice);
      } else if (outcome.kind === 'refused') obstacles.push(outcome.obstacle);
      else if (outcome.kind === 'stale') stale = true;
      else failure ??= outcome.error;
    }
    return { obstacles, stale, ...(failure === undefined ? {} : { failure }) };
  }

  /** The next look finds the answer. */
  async #askPromotion(observed: Observed, { pod, startedAt }: Extract<Action, { kind: 'ask-promotion' }>, memory: Memory): Promise<void> {
    const { askPromotion, logger, again, tls } = this.#options;
    const { name, namespace } = observed.cluster.metadata;
    const to = pod.metadata.name;
    const reply: PromotionReply =
      pod.status?.podIP === undefined
        ? { kind: 'unanswered', message: 'its pod has no address' }
        : await askPromotion(pod.status.podIP, startedAt, tls.connectTo(`${namespace ?? ''}/${name}`, pod, 'compute'));
    memory.promotion = { to, startedAt, ...reply };
    logger.info(
      { ...logged(observed.cluster), request: startedAt, to, answer: reply.kind, words: reply.message },
      "asked an instance to take the writer's place",
    );
    if (reply.kind !== 'unanswered') again(`${namespace ?? ''}/${name}`, 0);
  }

  /**
   * A writer that works and is about to be taken away is called unavailable first: clients that watch see it before
   * they feel it.
   */
  async #announce(
    observed: Observed,
    plan: ClusterPlan,
    shown: AuroraClusterStatus | undefined,
    memory: Memory,
  ): Promise<AuroraClusterStatus | undefined> {
    if (!takesWriterAway(plan) || computeState(observed, writerOf(observed).pod) !== 'available') return shown;
    try {
      return await this.#writeStatus(observed, plan, shown, memory);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#options.logger.warn({ cluster: clusterKey(observed.cluster), err: error }, 'the status could not be written ahead');
      return shown;
    }
  }

  /**
   * Writes the status when it differs from `shown`, what the API server has as far as we know, and tells what changed
   * since our own last word. Whatever somebody else wrote there is put right by that. Resolves to what is shown now.
   */
  async #writeStatus(
    observed: Observed,
    plan: ClusterPlan,
    shown: AuroraClusterStatus | undefined,
    memory: Memory,
  ): Promise<AuroraClusterStatus | undefined> {
    const { api, events, handovers } = this.#options;
    const { cluster } = observed;
    for (const obstacle of plan.obstacles) {
      if (obstacle.reason !== 'SpecInvalid')
        events.recordOnce(cluster, { type: 'Warning', reason: obstacle.reason, message: obstacle.message });
    }
    const before = memory.status ?? cluster.status;
    const status = computeStatus(observed, plan);
    if (canonicalJson(status) !== canonicalJson(shown)) {
      const { name, namespace, uid } = cluster.metadata;
      try {
        // A merge patch and no apply: fields that others put there go as well.
        await api.mergeStatus(CLUSTERS, namespace, name, { metadata: { uid }, status: mergePatch(shown, status) });
      } catch (error) {
        // Deleted, or deleted and made again: the next look decides.
        if (isNotFound(error) || isConflict(error)) return shown;
        throw error;
      }
    }
    for (const notice of noticesOf(before, status, observed.now)) events.record(cluster, notice, status.epoch);
    const { name, namespace = '' } = cluster.metadata;
    for (const handover of handoversBetween(before, status)) handovers.count(`${namespace}/${name}`, handover);
    memory.status = status;
    if (status.phase === 'Ready') memory.avoidZones.clear();
    return status;
  }

  #keepAsking(key: string, observed: Observed, plan: ClusterPlan, memory: Memory): void {
    const { prober, again, tls } = this.#options;
    if (plan.volumeId === undefined) {
      prober.forget(key);
      return;
    }
    const pods = [...planInstances(observed).flatMap(({ pod }) => pod ?? []), ...surplusPods(observed)];
    const targets: readonly ProbeTarget[] = [
      ...pods.flatMap((pod) =>
        askable(pod).map((asked) => ({ kind: 'agent' as const, ...asked, connect: tls.connectTo(key, pod, 'compute') })),
      ),
      ...[...observed.storagePods].flatMap(([{ pg }, pod]) =>
        askable(pod).map((asked) => ({ kind: 'daemon' as const, pg, ...asked, connect: tls.connectTo(key, pod, 'storage') })),
      ),
    ];
    const asking = pods.some((pod) => computeState(observed, pod) === 'asking');
    const applying = settingsVerdict(observed)?.state !== 'applied' && settingsVerdict(observed)?.state !== 'refused';
    const doubted = pods.some((pod) => deadNode(pod, observed.nodes) !== undefined);
    if (asking) again(key, TRUST_READINESS_MS);
    const fresh = silenceLeftMs(observed);
    if (fresh !== undefined) again(key, fresh);
    prober.track(
      key,
      targets,
      plan.volumeId,
      asking || doubted || memory.status?.switchover?.state === 'InProgress'
        ? POLL_URGENT_MS
        : memory.status?.phase === 'Ready' && !applying && fresh === undefined
          ? steadyPollMs(observed)
          : POLL_CHANGING_MS,
    );
  }
}

/** Which cluster a line of the log is about, and in which of its writers' epochs. */
function logged(cluster: AuroraCluster): { readonly cluster: string; readonly epoch: string | undefined } {
  return { cluster: clusterKey(cluster), epoch: cluster.status?.epoch?.toString() };
}

/** Seldom enough to cost nothing, often enough to see a reader pass its limit of lag. */
function steadyPollMs(observed: Observed): number {
  return readersOf(observed).length === 0 ? POLL_STEADY_MS : POLL_READERS_MS;
}

/** A pod that a program answers from: at most one. */
function askable(pod: Pod): readonly { readonly name: string; readonly uid: string; readonly ip: string }[] {
  const { name, uid } = pod.metadata;
  const ip = pod.status?.podIP;
  return ip === undefined || ip === '' || uid === undefined || isTerminating(pod) ? [] : [{ name, uid, ip }];
}

/** Milliseconds until a daemon or an agent that has just fallen silent counts as down; undefined when none has. */
function silenceLeftMs({ agents, daemons, now }: Observed): number | undefined {
  const left = (reports: Iterable<{ readonly silentSince?: number }>, patienceMs: number): number[] =>
    [...reports].flatMap(({ silentSince }) => (silentSince === undefined ? [] : [silentSince + patienceMs - now]));
  const coming = [...left(daemons.values(), SILENT_MS), ...left(agents.values(), SILENT_AGENT_MS)].filter((ms) => ms > 0);
  return coming.length === 0 ? undefined : Math.min(...coming);
}

export function statusPort(target: ProbeTarget): number {
  return target.kind === 'agent' ? PORT.agentStatus : PORT.storageStatus;
}
