import type { Logger } from '@kube-aurora/process';
import { ANNOTATION } from '../api/names.ts';
import { API_GROUP_VERSION, CLUSTER_KIND, type AuroraCluster } from '../api/types.ts';
import { isConflict, isNotFound } from '@kube-aurora/kube-http';
import type { KubeApi } from '../kube/client.ts';
import { FIELD_MANAGER } from '../kube/field-manager.ts';
import type { KubeObject } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { clusterKey, clusterNamespace, fingerprint } from '../specs/metadata.ts';
import type { Notice } from '../plan/actions.ts';

/** core/v1 Event, with the fields that kubectl shows. */
export interface ClusterEvent extends KubeObject {
  readonly involvedObject: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly namespace: string;
    readonly uid?: string;
  };
  readonly type: Notice['type'];
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

/** A lasting obstacle is written again only after this long. */
const REPEAT_MS = 10 * 60_000;
const MEMORY_MAX = 2_000;
const BACKLOG_MAX = 500;

/**
 * Writes Events. The same notice about the same cluster is one Event whose count grows, found by a name made from its
 * content, also after a restart. Failing to write one is logged and never stops the work.
 */
export class EventRecorder {
  readonly #api: KubeApi;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #recordedAt = new Map<string, number>();
  #tail: Promise<void> = Promise.resolve();
  #backlog = 0;

  constructor(options: { api: KubeApi; logger: Logger; now: () => number }) {
    this.#api = options.api;
    this.#logger = options.logger;
    this.#now = options.now;
  }

  /**
   * Writes it now.
   * @param epoch the writer's, for the log: computes and daemons have it in theirs
   */
  record(cluster: AuroraCluster, notice: Notice, epoch = cluster.status?.epoch): void {
    const name = eventName(cluster, notice);
    this.#recordedAt.delete(name);
    this.#recordedAt.set(name, this.#now());
    if (this.#recordedAt.size > MEMORY_MAX)
      for (const oldest of this.#recordedAt.keys()) {
        this.#recordedAt.delete(oldest);
        break;
      }
    if (this.#backlog >= BACKLOG_MAX) {
      this.#logger.warn({ reason: notice.reason }, 'an event was dropped: too many wait for the API server');
      return;
    }
    this.#backlog += 1;
    this.#logger.info({ cluster: clusterKey(cluster), epoch: epoch?.toString(), reason: notice.reason }, notice.message);
    this.#tail = this.#tail
      .then(() => this.#write(cluster, notice, name))
      .finally(() => {
        this.#backlog -= 1;
      });
  }

  /** Writes it unless it was written in the last ten minutes. For what is seen again at every reconcile. */
  recordOnce(cluster: AuroraCluster, notice: Notice): void {
    const last = this.#recordedAt.get(eventName(cluster, notice));
    if (last === undefined || this.#now() - last >= REPEAT_MS) this.record(cluster, notice);
  }

  /** Resolves when everything recorded so far is written or given up. */
  flush(): Promise<void> {
    return this.#tail;
  }

  async #write(cluster: AuroraCluster, notice: Notice, name: string): Promise<void> {
    const at = new Date(this.#now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const namespace = clusterNamespace(cluster);
    try {
      try {
        await this.#api.create(RESOURCE.events, clusterEvent(cluster, notice, name, at));
      } catch (error) {
        if (!isConflict(error)) throw error;
        const existing = await this.#api.get<ClusterEvent>(RESOURCE.events, namespace, name);
        await this.#api.merge(RESOURCE.events, namespace, name, { count: (existing.count ?? 1) + 1, lastTimestamp: at });
      }
    } catch (error) {
      if (isNotFound(error)) this.#logger.debug({ reason: notice.reason }, 'an event found no namespace or expired meanwhile');
      else this.#logger.warn({ reason: notice.reason, err: error }, 'an event could not be written');
    }
  }
}

function eventName(cluster: AuroraCluster, notice: Notice): string {
  return `${cluster.metadata.name}.${fingerprint({ uid: cluster.metadata.uid, type: notice.type, reason: notice.reason, message: notice.message })}`;
}

function clusterEvent(cluster: AuroraCluster, notice: Notice, name: string, at: string): ClusterEvent {
  const namespace = clusterNamespace(cluster);
  const { uid } = cluster.metadata;
  const volumeId = cluster.status?.volumeId;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace, ...(volumeId === undefined ? {} : { annotations: { [ANNOTATION.volumeId]: volumeId } }) },
    involvedObject: {
      apiVersion: API_GROUP_VERSION,
      kind: CLUSTER_KIND,
      name: cluster.metadata.name,
      namespace,
      ...(uid === undefined ? {} : { uid }),
    },
    type: notice.type,
    reason: notice.reason,
    message: notice.message.slice(0, 1000),
    count: 1,
    firstTimestamp: at,
    lastTimestamp: at,
    source: { component: FIELD_MANAGER },
    reportingComponent: FIELD_MANAGER,
    reportingInstance: '',
  };
}
