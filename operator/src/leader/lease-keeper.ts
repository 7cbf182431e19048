import { V1MicroTime } from '@kubernetes/client-node';
import type { Logger } from '@kube-aurora/process';
import { isConflict, isNotFound } from '@kube-aurora/kube-http';
import type { KubeApi } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import {
  mayLead,
  onLease,
  onOutrun,
  onWritten,
  startElection,
  type ElectionState,
  type ElectionTimes,
  type LeaseRecord,
} from './election.ts';

/** coordination.k8s.io/v1 Lease. Times have exactly six decimals: the API server refuses three. */
export interface Lease extends KubeObject {
  readonly spec: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface LeaseKeeperOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly times: ElectionTimes;
  readonly logger: Logger;
  /** Monotonic milliseconds. */
  readonly monotonic: () => number;
  readonly setTimer: (run: () => void, delayMs: number) => { cancel: () => void };
  readonly onElected: () => void;
  /** Called once after onElected when the lease is lost; the process should end. */
  readonly onLost: () => void;
}

/** Gets and keeps the lease. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #state: ElectionState;
  #acquireTime = '';
  #lease: Lease | undefined;
  #elected = false;
  #stopped = false;
  #timer: { cancel: () => void } | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#state = startElection(options.identity);
  }

  get leading(): boolean {
    return mayLead(this.#state, this.#options.monotonic(), this.#options.times);
  }

  start(): void {
    this.#running = this.#turn();
  }

  /** Stops renewing, and lets the lease go so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
    const lease = this.#lease;
    if (!this.leading || lease === undefined) return;
    try {
      await this.#options.api.replace(RESOURCE.leases, {
        ...lease,
        spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() },
      });
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'the lease could not be released; the next leader waits until it expires');
    }
  }

  async #turn(): Promise<void> {
    const { logger, times, monotonic, setTimer, onElected, onLost } = this.#options;
    try {
      await this.#try();
    } catch (error) {
      logger.warn({ err: error }, 'leader election: the API server could not be asked');
    }
    if (this.#stopped) return;
    if (this.leading && !this.#elected) {
      this.#elected = true;
      onElected();
    } else if (!this.leading && this.#elected && (!this.#state.leading || monotonic() - this.#state.renewedAt >= times.renewDeadlineMs)) {
      this.#stopped = true;
      onLost();
      return;
    }
    this.#timer = setTimer(() => {
      this.#running = this.#turn();
    }, times.retryMs);
  }

  async #try(): Promise<void> {
    const { api, namespace, name, monotonic, times, identity } = this.#options;
    const live = await this.#read();
    const step = onLease(this.#state, live === undefined ? undefined : recordOf(live), monotonic(), times);
    this.#state = step.state;
    if (step.kind === 'wait') return;
    if (step.takesOver) this.#acquireTime = microTime();
    const desired: Lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        namespace,
        ...(live?.metadata.resourceVersion === undefined ? {} : { resourceVersion: live.metadata.resourceVersion }),
      },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(times.leaseMs / 1000),
        acquireTime: step.takesOver ? this.#acquireTime : (live?.spec.acquireTime ?? microTime()),
        renewTime: microTime(),
        leaseTransitions: step.transitions,
      },
    };
    try {
      const written = live === undefined ? await api.create(RESOURCE.leases, desired) : await api.replace(RESOURCE.leases, desired);
      this.#lease = written;
      this.#state = onWritten(this.#state, written.metadata.resourceVersion ?? '', step.at);
    } catch (error) {
      if (!isConflict(error)) throw error;
      this.#state = onOutrun(this.#state);
    }
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return await this.#options.api.get<Lease>(RESOURCE.leases, this.#options.namespace, this.#options.name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

function microTime(): string {
  return new V1MicroTime().toISOString();
}

function recordOf(lease: Lease): LeaseRecord {
  return {
    holder: lease.spec.holderIdentity ?? '',
    durationSeconds: lease.spec.leaseDurationSeconds ?? 0,
    transitions: lease.spec.leaseTransitions ?? 0,
    resourceVersion: lease.metadata.resourceVersion ?? '',
  };
}
