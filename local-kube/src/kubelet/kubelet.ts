import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import type { EventRecorder } from '../controllers/event-recorder.ts';
import { outageOf, type Outage } from '../controllers/nodes.ts';
import type { Pod, PodStatus } from '../kinds.ts';
import { podAddress, type Network } from '../network/network.ts';
import { jsonEqual, type KubeObject } from '../store/object.ts';
import type { ImageMap } from './image-map.ts';
import { PodRunner, type PodRunnerOptions } from './pod-runner.ts';
import { ProcessTable } from './process-table.ts';
import { claimDirectory, type VolumeSources } from './volumes.ts';

export interface KubeletOptions {
  readonly registry: Registry;
  readonly recorder: EventRecorder;
  readonly logger: Logger;
  readonly images: ImageMap;
  readonly dataDirectory: string;
  readonly network: Network;
  readonly baseEnvironment: (pod: Pod) => { [name: string]: string };
  /** See VolumeSources. */
  readonly serviceAccountToken: VolumeSources['serviceAccountToken'];
  /** Writes a pod's way to the API into a file. */
  readonly writeKubeconfig: (pod: Pod, file: string) => void;
}

/** What pods mount of tokens is looked at so often: they are to be renewed in time. */
const TOKENS_EVERY_MS = 60_000;

/** Runs the pods of all nodes as processes of this machine. */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #runners = new Map<string, PodRunner>();
  readonly #ending = new Set<string>();
  readonly #outages = new Map<string, Outage>();
  readonly #table: ProcessTable;
  #unsubscribe: (() => void) | undefined;
  #tokens: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: KubeletOptions) {
    this.#options = options;
    // Other users' processes must be able to reach their volumes through these.
    mkdirSync(options.dataDirectory, { recursive: true, mode: 0o711 });
    mkdirSync(path.join(options.dataDirectory, 'pods'), { recursive: true, mode: 0o711 });
    this.#table = new ProcessTable(path.join(options.dataDirectory, 'processes'));
  }

  start(): void {
    const { registry, logger } = this.#options;
    const killed = this.#table.killLeftovers(path.join(this.#options.dataDirectory, 'pods'));
    if (killed > 0) logger.info({ killed }, 'ended processes that an earlier run left');
    for (const node of registry.store.list('nodes')) this.#nodeChanged(node);
    for (const pod of registry.store.list('pods')) this.#podChanged(pod);
    this.#tokens = setInterval(() => {
      for (const runner of this.#runners.values()) runner.refreshVolumes();
    }, TOKENS_EVERY_MS);
    this.#unsubscribe = registry.store.subscribe((change) => {
      if (change.resource === 'nodes' && change.type !== 'DELETED') this.#nodeChanged(change.object);
      if (change.resource === 'secrets' || change.resource === 'configmaps') this.#sourceChanged(change.object);
      if (change.resource !== 'pods') return;
      if (change.type === 'DELETED') this.#podGone(change.object);
      else this.#podChanged(change.object);
    });
  }

  /**
   * Ends all processes gracefully and keeps the pods: the next start runs them again. Those with disks that outlive them end
   * last: they are what the others store their data in. Each half has the grace period.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#tokens);
    this.#unsubscribe?.();
    const runners = [...this.#runners.values()];
    const hasDisk = (runner: PodRunner): boolean =>
      (runner.pod.spec.volumes ?? []).some((volume) => volume.persistentVolumeClaim !== undefined);
    await Promise.all(runners.filter((runner) => !hasDisk(runner)).map((runner) => runner.suspend(graceMs)));
    await Promise.all(runners.filter(hasDisk).map((runner) => runner.suspend(graceMs)));
  }

  runnerOf(pod: KubeObject): PodRunner | undefined {
    return this.#runners.get(pod.metadata.uid ?? '');
  }

  /** A Secret or ConfigMap: pods of its namespace may show it. */
  #sourceChanged(object: KubeObject): void {
    for (const runner of this.#runners.values()) if (runner.pod.metadata.namespace === object.metadata.namespace) runner.refreshVolumes();
  }

  #podChanged(object: KubeObject): void {
    const pod = object as Pod;
    const uid = pod.metadata.uid ?? '';
    const node = pod.spec.nodeName;
    if (node === undefined || this.#stopped) return;
    let runner = this.#runners.get(uid);
    const deleting = pod.metadata.deletionTimestamp !== undefined;
    if (runner === undefined) {
      if (deleting) {
        this.#finalise(pod);
        return;
      }
      if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return;
      runner = new PodRunner(pod, pod.status?.podIP ?? this.#freeIp(node), this.#runnerOptions());
      this.#runners.set(uid, runner);
      const started = runner;
      if (!this.#outages.has(node)) setImmediate(() => started.start());
      return;
    }
    runner.refresh(pod);
    if (!deleting || this.#ending.has(uid)) return;
    this.#ending.add(uid);
    // A machine that is gone ends nothing gracefully.
    const graceMs = this.#outages.has(node) ? 0 : (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000;
    void runner.end(graceMs).then(() => this.#finalise(pod));
  }

  #podGone(object: KubeObject): void {
    const uid = object.metadata.uid ?? '';
    const runner = this.#runners.get(uid);
    this.#runners.delete(uid);
    this.#ending.delete(uid);
    if (runner !== undefined) void runner.end(0).then(() => runner.removeFiles());
  }

  /** The pod's processes are gone: it may leave the API. */
  #finalise(pod: Pod): void {
    const { registry, logger } = this.#options;
    const { namespace, name, uid } = pod.metadata;
    const resource = registry.catalog.byStorage('pods');
    if (resource === undefined || this.#stopped || registry.store.get('pods', namespace, name)?.metadata.uid !== uid) return;
    setImmediate(() => {
      try {
        if (registry.store.get('pods', namespace, name)?.metadata.uid === uid)
          registry.remove(resource, namespace, name, { gracePeriodSeconds: 0 });
      } catch (error) {
        logger.error({ err: error, pod: name }, 'a pod could not be removed');
      }
    });
  }

  #nodeChanged(node: KubeObject): void {
    const { name } = node.metadata;
    const was = this.#outages.get(name);
    const is = outageOf(node);
    if (was === is) return;
    if (is === undefined) this.#outages.delete(name);
    else this.#outages.set(name, is);
    for (const runner of this.#runners.values()) {
      if (runner.pod.spec.nodeName !== name) continue;
      if (is === undefined) runner.restore(was === 'pause');
      else runner.lose(is === 'pause');
    }
  }

  #runnerOptions(): PodRunnerOptions {
    const { registry, recorder, images, dataDirectory, baseEnvironment } = this.#options;
    const { store } = registry;
    const sourcesOf = (namespace: string | undefined): VolumeSources => ({
      secret: (name) => store.get('secrets', namespace, name),
      configMap: (name) => store.get('configmaps', namespace, name),
      claimDirectory: (name) =>
        claimDirectory(store.get('persistentvolumeclaims', namespace, name), (volume) => store.get('persistentvolumes', undefined, volume)),
      serviceAccountToken: this.#options.serviceAccountToken,
    });
    return {
      now: registry.now,
      table: this.#table,
      images,
      podsDirectory: path.join(dataDirectory, 'pods'),
      logsDirectory: path.join(dataDirectory, 'logs'),
      sourcesOf,
      baseEnvironment,
      writeKubeconfig: this.#options.writeKubeconfig,
      publish: (pod, status) => this.#publish(pod, status),
      event: (pod, type, reason, message, fieldPath) =>
        recorder.record(pod, type, reason, message, 'kubelet', pod.spec.nodeName, fieldPath),
    };
  }

  #publish(pod: Pod, status: PodStatus): void {
    const { registry } = this.#options;
    const { namespace, name, uid } = pod.metadata;
    const live = registry.store.get('pods', namespace, name);
    const resource = registry.catalog.byStorage('pods');
    if (this.#stopped || resource === undefined || live?.metadata.uid !== uid || jsonEqual(live?.['status'], status)) return;
    registry.change(resource, namespace, name, (now) => ({ ...now, status }), { manager: 'kubelet', subresource: 'status' });
  }

  /** The lowest address of the node's range that no pod has. */
  #freeIp(node: string): string {
    const nodes = this.#options.registry.store.list('nodes').map((one) => one.metadata.name);
    const at = Math.max(0, nodes.indexOf(node));
    const taken = new Set([...this.#runners.values()].map((runner) => runner.ip));
    for (const pod of this.#options.registry.store.list('pods') as Pod[]) if (pod.status?.podIP !== undefined) taken.add(pod.status.podIP);
    for (let index = 2; index < 64 * 256 - 1; index += 1) {
      const ip = podAddress(this.#options.network, at, index);
      if (!taken.has(ip)) return ip;
    }
    throw new Error(`no address is left on ${node}`);
  }
}
