import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Container, ContainerStatus, Pod, PodStatus } from '../kinds.ts';
import { instant } from '../api/metadata.ts';
import { ContainerLog, readLog, removeLog } from './container-log.ts';
import { ContainerRunner, type Program, type ContainerRunnerOptions } from './container-runner.ts';
import { containerEnvironment, ContainerConfigError, expand, rewriteMounts } from './environment.ts';
import { imageName, programOf, type ImageMap } from './image-map.ts';
import { hasBegun, isSidecar, podStatus } from './pod-status.ts';
import { killStrays, type ProcessTable } from './process-table.ts';
import { mountPaths, prepareVolumes, refreshVolumes, VolumeError, type VolumeSources } from './volumes.ts';

export interface PodRunnerOptions {
  readonly now: () => number;
  readonly table: ProcessTable;
  readonly images: ImageMap;
  readonly podsDirectory: string;
  readonly logsDirectory: string;
  /** What pods of a namespace may refer to. */
  sourcesOf(namespace: string | undefined): VolumeSources;
  /** Environment that every process gets: PATH, where the API is, cluster DNS. */
  baseEnvironment(pod: Pod): { [name: string]: string };
  /** Writes a pod's way to the API into a file. */
  writeKubeconfig(pod: Pod, file: string): void;
  publish(pod: Pod, status: PodStatus): void;
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void;
}

const VOLUME_RETRY_MS = 1000;

/** Runs one pod on its node: volumes, init containers in turn, then its containers, until it is ended. */
export class PodRunner {
  #pod: Pod;
  readonly ip: string;
  readonly #options: PodRunnerOptions;
  readonly #home: string;
  readonly #inits: ContainerRunner[];
  readonly #mains: ContainerRunner[];
  #volumes: Map<string, string> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #publishing = false;
  #lost = false;
  #ended = false;

  constructor(pod: Pod, ip: string, options: PodRunnerOptions) {
    this.ip = ip;
    this.#pod = { ...pod, status: { ...pod.status, podIP: ip } };
    this.#options = options;
    this.#home = path.join(options.podsDirectory, pod.metadata.uid ?? pod.metadata.name);
    const before = (list: ContainerStatus[] | undefined, name: string): ContainerStatus | undefined =>
      list?.find((status) => status.name === name);
    const policy = pod.spec.restartPolicy ?? 'Always';
    const initPolicy = policy === 'Never' ? 'Never' : 'OnFailure';
    this.#inits = (pod.spec.initContainers ?? []).map(
      (container) =>
        new ContainerRunner(container, isSidecar(container) ? 'Always' : initPolicy, this.#runnerOptions(container), undefined),
    );
    this.#mains = pod.spec.containers.map(
      (container) =>
        new ContainerRunner(container, policy, this.#runnerOptions(container), before(pod.status?.containerStatuses, container.name)),
    );
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The pod has changed in the API (labels, deletion). */
  refresh(pod: Pod): void {
    this.#pod = { ...pod, status: { ...pod.status, podIP: this.ip } };
    this.refreshVolumes();
  }

  /** Something that its volumes show may have changed. */
  refreshVolumes(): void {
    if (this.#volumes === undefined || this.#ended || this.#lost) return;
    refreshVolumes(this.#pod, this.#home, this.#options.sourcesOf(this.#pod.metadata.namespace));
  }

  start(): void {
    if (this.#ended || this.#lost) return;
    try {
      mkdirSync(this.#home, { recursive: true, mode: 0o711 });
      this.#volumes = prepareVolumes(this.#pod, this.#home, this.#options.sourcesOf(this.#pod.metadata.namespace));
    } catch (error) {
      if (!(error instanceof VolumeError || error instanceof ContainerConfigError)) throw error;
      this.#options.event(this.#pod, 'Warning', 'FailedMount', `MountVolume.SetUp failed: ${error.message}`);
      this.#retry = setTimeout(() => this.start(), VOLUME_RETRY_MS);
      this.#changed();
      return;
    }
    this.#advance();
    this.#changed();
  }

  /** Ends every container within the pod's grace period; what it had on an emptyDir goes. */
  async end(graceMs: number): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    const running = [...this.#inits, ...this.#mains].filter((runner) => runner.running);
    for (const runner of running)
      this.#options.event(this.#pod, 'Normal', 'Killing', `Stopping container ${runner.container.name}`, fieldPathOf(runner.container));
    await this.#stopAll(graceMs);
  }

  /** Sidecars end when nobody is left who needs them. */
  async #stopAll(graceMs: number): Promise<void> {
    const startedMs = performance.now();
    const [sidecars, others] = [
      this.#inits.filter(({ container }) => isSidecar(container)),
      this.#inits.filter(({ container }) => !isSidecar(container)),
    ];
    await Promise.all([...others, ...this.#mains].map((runner) => runner.stop(graceMs)));
    await Promise.all(sidecars.map((runner) => runner.stop(Math.max(0, graceMs - (performance.now() - startedMs)))));
  }

  /** Ends the processes but keeps the pod: for local-kube's own end. */
  async suspend(graceMs: number): Promise<void> {
    this.#ended = true;
    this.#lost = true;
    clearTimeout(this.#retry);
    await this.#stopAll(graceMs);
  }

  /** The node is gone: its processes are killed, or stopped where they are. */
  lose(pause: boolean): void {
    this.#lost = true;
    clearTimeout(this.#retry);
    for (const runner of [...this.#inits, ...this.#mains]) {
      if (pause) runner.pause();
      else runner.kill();
    }
    this.#changed();
  }

  /** The node is back. */
  restore(wasPaused: boolean): void {
    this.#lost = false;
    this.refreshVolumes();
    // Not begun yet, or local-kube was restarted meanwhile: there is nothing to go on with.
    if (this.#volumes === undefined) this.start();
    else {
      for (const runner of [...this.#inits, ...this.#mains]) {
        if (wasPaused) runner.resume();
        else runner.revive();
      }
      this.#advance();
    }
    this.#changed();
  }

  /** The pod is gone: nothing of it may go on running, and its files go. */
  removeFiles(): void {
    killStrays(this.#home);
    rmSync(this.#home, { recursive: true, force: true });
    rmSync(this.#logHome(), { recursive: true, force: true });
  }

  runner(name: string | undefined): ContainerRunner | undefined {
    return name === undefined ? this.#mains[0] : [...this.#inits, ...this.#mains].find((runner) => runner.container.name === name);
  }

  /** Lines of an earlier run of a container. */
  previousLog(runner: ContainerRunner): string[] | undefined {
    return runner.restarts === 0 ? undefined : readLog(this.#logFile(runner.container, runner.restarts - 1));
  }

  #advance(): void {
    const next = this.#inits.find((runner) => !isPast(runner.container, runner.status()));
    if (next !== undefined) {
      if (!next.running && next.log === undefined) next.start();
      return;
    }
    for (const runner of this.#mains)
      if (!runner.running && runner.log === undefined && runner.status().state.waiting?.reason === 'ContainerCreating')
        this.#launch(runner);
  }

  #launch(runner: ContainerRunner): void {
    const { image = '' } = runner.container;
    if (programOf(this.#options.images, image) !== undefined) {
      this.#options.event(
        this.#pod,
        'Normal',
        'Pulled',
        `Container image "${image}" already present on machine`,
        fieldPathOf(runner.container),
      );
      this.#options.event(this.#pod, 'Normal', 'Created', `Created container: ${runner.container.name}`, fieldPathOf(runner.container));
    }
    runner.start();
  }

  #runnerOptions(container: Container): ContainerRunnerOptions {
    const { now, table } = this.#options;
    return {
      now,
      table,
      program: () => this.#program(container),
      openLog: (restarts) => {
        // Of earlier runs only the last one is kept, for `kubectl logs --previous`.
        if (restarts > 1) removeLog(this.#logFile(container, restarts - 2));
        return new ContainerLog(this.#logFile(container, restarts), now);
      },
      changed: () => this.#changed(),
      event: (type, reason, message) => this.#options.event(this.#pod, type, reason, message, fieldPathOf(container)),
    };
  }

  #program(container: Container): Program {
    const image = container.image ?? '';
    const known = programOf(this.#options.images, image);
    if (known === undefined && container.command === undefined)
      throw new ContainerConfigError(
        `image "${imageName(image)}" is not in local-kube's image map; known are: ${[...this.#options.images.keys()].join(', ') || 'none'}`,
      );
    const root = path.join(this.#home, 'containers', container.name);
    mkdirSync(root, { recursive: true, mode: 0o711 });
    chmodSync(root, 0o711);
    const mounts = mountPaths(container, this.#volumes ?? new Map(), root);
    const rewrite = (text: string): string => rewriteMounts(text, mounts);
    const own = containerEnvironment(this.#pod, container, this.#options.sourcesOf(this.#pod.metadata.namespace));
    const rewritten = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, rewrite(value)]));
    const base = this.#options.baseEnvironment(this.#pod);
    const env: { [name: string]: string } = {
      ...base,
      ...this.#apiAccess(),
      ...known?.env,
      LOCAL_KUBE_ROOT: root,
      LOCAL_KUBE_POD_IP: this.ip,
      HOME: root,
      ...rewritten,
    };
    // Options of the image or the pod come after the cluster's own, which make Services' names resolvable.
    const nodeOptions = [base['NODE_OPTIONS'], rewritten['NODE_OPTIONS'] ?? known?.env?.['NODE_OPTIONS']].filter(
      (text) => text !== undefined,
    );
    if (nodeOptions.length > 0) env['NODE_OPTIONS'] = nodeOptions.join(' ');
    // Of a pod's own volume every new pod would begin with an empty one; here all run the same files, so one cache
    // serves all.
    if (base['NODE_COMPILE_CACHE'] !== undefined) env['NODE_COMPILE_CACHE'] = base['NODE_COMPILE_CACHE'];
    const words = [...(container.command ?? known?.command ?? []), ...(container.args ?? [])];
    const cwd = container.workingDir === undefined ? root : rewrite(container.workingDir);
    return { command: words.map((word) => rewrite(expand(word, own))), env, cwd, ip: this.ip, rewrite };
  }

  /**
   * What a pod's service account gives it on a cluster: a kubeconfig, since nothing can be mounted at the usual
   * absolute path.
   */
  #apiAccess(): { [name: string]: string } {
    if (this.#pod.spec.automountServiceAccountToken === false) return {};
    const file = path.join(this.#home, 'kubeconfig');
    this.#options.writeKubeconfig(this.#pod, file);
    return { KUBECONFIG: file };
  }

  #changed(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    // Several changes of one turn are one update.
    queueMicrotask(() => {
      this.#publishing = false;
      if (!this.#ended && !this.#lost && this.#volumes !== undefined) this.#advance();
      this.#options.publish(
        this.#pod,
        podStatus(
          this.#pod,
          this.ip,
          this.#inits.map((runner) => runner.status()),
          this.#mains.map((runner) => runner.status()),
          {
            finished: this.#mains.map((runner) => runner.finished),
            initFailed: this.#inits.some((runner) => (runner.finished ?? 0) !== 0),
            lost: this.#lost,
            now: instant(this.#options.now()),
          },
        ),
      );
    });
  }

  #logHome(): string {
    const { namespace = 'default', name, uid = '' } = this.#pod.metadata;
    return path.join(this.#options.logsDirectory, `${namespace}_${name}_${uid}`);
  }

  #logFile(container: Container, restarts: number): string {
    return path.join(this.#logHome(), container.name, `${restarts}.log`);
  }
}

/** An init container that goes on beside the others: they begin once it has started. */
function isPast(container: Container, status: ContainerStatus): boolean {
  return isSidecar(container) ? hasBegun(status) : status.state.terminated?.exitCode === 0;
}

function fieldPathOf(container: Container): string {
  return `spec.containers{${container.name}}`;
}
