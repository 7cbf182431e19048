import { systemClock } from '@kube-aurora/clock';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Health, Logger } from '@kube-aurora/process';
import { RefusalLog } from '@kube-aurora/tls';
import { Caches } from './controller/caches.ts';
import { ClusterController, statusPort } from './controller/cluster-controller.ts';
import { EventRecorder } from './controller/event-recorder.ts';
import type { DefaultImages } from './plan/plan.ts';
import { GivenSecrets } from './controller/given-secrets.ts';
import type { ServiceAccountName } from './controller/perform.ts';
import { OperatorTls } from './controller/operator-tls.ts';
import { StatusProber } from './controller/status-prober.ts';
import { WorkQueue } from './controller/work-queue.ts';
import type { KubeApi } from './kube/client.ts';
import { PORT } from './api/names.ts';
import { askPromotion } from './kube/ask-promotion.ts';
import { fetchStatus } from './kube/fetch-status.ts';
import { KindInformer } from './kube/informer.ts';
import { objectKey, type Secret } from './kube/objects.ts';
import { RESOURCE } from './kube/resources.ts';
import { asLeader } from './leader/as-leader.ts';
import { createMetrics, type OperatorMetrics } from './metrics.ts';

/** Progress of LSNs alone is shown this often at most. */
const PROGRESS_MS = 10_000;
/**
 * A cache that was not fed for this long makes the process unhealthy: whatever is wrong, a fresh one may not have it.
 */
const STALE_MAX_MS = 10 * 60_000;

export interface OperatorOptions {
  readonly api: KubeApi;
  readonly config: () => KubeConfig;
  readonly logger: Logger;
  readonly watchNamespace: string;
  readonly images: DefaultImages;
  /** A protected cluster that is deleted stays: no policy refuses that. */
  readonly holdsProtected: boolean;
  readonly resyncMs: number;
  readonly concurrency: number;
  readonly leading: () => boolean;
  /** Wall clock, chance, passwords: injected so that tests can say what they are. */
  readonly now: () => number;
  readonly random: () => number;
  readonly newPassword: () => string;
  readonly randomBytes: (bytes: number) => Uint8Array;
  /** See ControllerOptions. */
  readonly tokenReviewer: ServiceAccountName | undefined;
  /** Everybody has seen a change of a Secret after so many milliseconds. */
  readonly certificateSpreadMs: number;
}

export function timer(run: () => void, delayMs: number): { cancel: () => void } {
  const handle = setTimeout(run, delayMs);
  return { cancel: () => clearTimeout(handle) };
}

/** Caches, queue, prober and controller wired together: runs while this process leads. */
export class Operator {
  readonly metrics: OperatorMetrics;
  readonly #options: OperatorOptions;
  readonly #caches: Caches;
  readonly #queue: WorkQueue;
  readonly #prober: StatusProber;
  readonly #givenSecrets: GivenSecrets;
  readonly #events: EventRecorder;
  readonly #controller: ClusterController;
  #resync: NodeJS.Timeout | undefined;
  #started = false;
  #stopped = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { api, logger, now, random } = options;
    const clock = systemClock();
    const refusals = new RefusalLog({ logger: logger.child({ part: 'tls' }), clock });
    this.#queue = new WorkQueue({
      clock: { setTimer: timer, now, random },
      concurrency: options.concurrency,
      work: asLeader({ leading: options.leading, again: (key, afterMs) => this.#queue.addAfter(key, afterMs) }, (key) =>
        this.#reconcile(key),
      ),
      onError: (key, error, retryInMs) => {
        this.metrics.reconcileErrors.inc();
        logger.warn({ cluster: key, err: error, retryInMs: Math.round(retryInMs) }, 'reconcile failed; it will be tried again');
      },
    });
    this.#prober = new StatusProber({
      fetchStatus: (target, wait) => fetchStatus(target.ip, statusPort(target), clock, target.connect, wait),
      onNews: (key, soon) => (soon ? this.#queue.add(key) : this.#queue.addAfter(key, PROGRESS_MS)),
      setTimer: timer,
      now,
    });
    this.#caches = new Caches({
      api,
      config: options.config,
      namespace: options.watchNamespace,
      logger,
      onCluster: (key) => this.#enqueue(key),
      now,
      random,
    });
    this.#givenSecrets = new GivenSecrets({
      watch: (namespace, name, onChange) =>
        new KindInformer<Secret>({
          api,
          config: options.config,
          resource: RESOURCE.secrets,
          namespace,
          fieldSelector: `metadata.name=${name}`,
          logger,
          onChange,
          now,
          random,
        }),
      onCluster: (key) => this.#enqueue(key),
    });
    this.#events = new EventRecorder({ api, logger, now });
    this.metrics = createMetrics({
      queueDepth: () => this.#queue.depth,
      informers: () => this.#caches.all,
      leading: options.leading,
      clusters: () => this.#controller.known,
    });
    this.#controller = new ClusterController({
      api,
      caches: this.#caches,
      prober: this.#prober,
      givenSecrets: this.#givenSecrets,
      events: this.#events,
      handovers: this.metrics.handovers,
      askPromotion: (ip, request, connect) => askPromotion(ip, PORT.agentStatus, clock, request, connect),
      tls: new OperatorTls({ secret: (namespace, name) => this.#caches.secrets.get(namespace, name), clock, refusals }),
      issuing: () => ({ now: now(), random: options.randomBytes }),
      tokenReviewer: options.tokenReviewer,
      certificateSpreadMs: options.certificateSpreadMs,
      images: options.images,
      holdsProtected: options.holdsProtected,
      logger,
      now,
      newPassword: options.newPassword,
      again: (key, afterMs) => this.#queue.addAfter(key, afterMs),
    });
  }

  /** Starts the caches and, once all have their first list, the work. */
  async start(): Promise<void> {
    this.#caches.start();
    while (!this.#caches.synced && !this.#stopped) await sleep(20);
    if (this.#stopped) return;
    this.#started = true;
    this.#options.logger.info({ clusters: this.#caches.clusters.list().length }, 'caches are complete; working');
    this.#enqueueAll();
    this.#resync = setInterval(() => this.#enqueueAll(), this.#options.resyncMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#resync);
    this.#prober.stop();
    this.#givenSecrets.stop();
    this.#caches.stop();
    await this.#queue.stop();
    await this.#events.flush();
  }

  live(): Health {
    const stale = this.#caches.all.filter(({ brokenForMs }) => brokenForMs > STALE_MAX_MS).map(({ plural }) => plural);
    return this.#started && stale.length > 0
      ? { ok: false, message: `no news of ${stale.join(', ')} for ten minutes` }
      : { ok: true, message: 'alive' };
  }

  ready(): Health {
    const waiting = this.#caches.all.filter(({ synced }) => !synced).map(({ plural }) => plural);
    if (waiting.length > 0 && this.#options.leading()) return { ok: false, message: `waiting for the first list of ${waiting.join(', ')}` };
    return { ok: true, message: this.#options.leading() ? 'leading' : 'standing by' };
  }

  status(): unknown {
    return {
      leading: this.#options.leading(),
      clusters: Object.fromEntries([...this.#controller.known].map(([key, { phase, message }]) => [key, { phase, message }])),
    };
  }

  #enqueue(key: string): void {
    if (this.#started) this.#queue.add(key);
  }

  #enqueueAll(): void {
    for (const cluster of this.#caches.clusters.list()) this.#queue.add(objectKey(cluster));
  }

  async #reconcile(key: string): Promise<void> {
    const end = this.metrics.reconcileSeconds.startTimer();
    try {
      await this.#controller.reconcile(key);
    } finally {
      end();
    }
  }
}
