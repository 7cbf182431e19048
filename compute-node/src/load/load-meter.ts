import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';

/** How much an instance has to do, for its status and its metrics. */
export interface Load {
  /** Connections of clients, now. */
  readonly connections: number;
  /** CPU that the agent and PostgreSQL took, in thousandths of a core, on average over the last half minute. */
  readonly cpuMillicores: number;
  /** Cores that they may use. */
  readonly cpus: number;
}

const SAMPLE_MS = 5_000;
const COUNT_MS = 1_000;
/** The kernel goes through its whole table for a count, which takes milliseconds on a large machine: it gets a two-hundredth of the time. */
const COUNT_RESTS = 200;
const COUNT_MS_MAX = 5_000;
/** Long enough that a single query is no load, short enough that somebody who waits sees it. */
const WINDOW_MS = 30_000;

interface Sample {
  readonly atMs: number;
  readonly cpuSeconds: number;
}

export interface LoadMeterOptions {
  readonly connections: () => Promise<number>;
  /** Since the process started. */
  readonly cpuSeconds: () => number;
  readonly cpus: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Looks every five seconds at what CPU was taken, and counts connections every second, or more rarely where that takes long: whoever asks is told what was seen last. */
export class LoadMeter {
  readonly #options: LoadMeterOptions;
  #samples: readonly Sample[] = [];
  #connections = 0;
  #timer: Timer | undefined;
  #counting: Timer | undefined;
  #isStopped = false;

  constructor(options: LoadMeterOptions) {
    this.#options = options;
    this.#look();
    this.#count();
  }

  /** Undefined until there are two looks: nothing is known of its CPU before. */
  load(): Load | undefined {
    const [oldest] = this.#samples;
    const newest = this.#samples.at(-1);
    if (oldest === undefined || newest === undefined || oldest === newest) return undefined;
    const cores = ((newest.cpuSeconds - oldest.cpuSeconds) * 1000) / (newest.atMs - oldest.atMs);
    const { cpus } = this.#options;
    return { connections: this.#connections, cpuMillicores: Math.round(Math.max(0, cores) * 1000), cpus };
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#counting?.cancel();
  }

  #count(): void {
    const { connections, clock, logger } = this.#options;
    const began = clock.now();
    const again = (): void => {
      const restMs = Math.min(COUNT_MS_MAX, Math.max(COUNT_MS, (clock.now() - began) * COUNT_RESTS));
      if (!this.#isStopped) this.#counting = clock.after(restMs, () => this.#count());
    };
    connections().then(
      (count) => {
        this.#connections = count;
        again();
      },
      (error: unknown) => {
        logger.warn({ err: error }, 'connections could not be counted: the number of before stays');
        again();
      },
    );
  }

  #look(): void {
    const { clock, cpuSeconds } = this.#options;
    const now = clock.now();
    this.#samples = [...this.#samples.filter(({ atMs }) => now - atMs <= WINDOW_MS), { atMs: now, cpuSeconds: cpuSeconds() }];
    this.#timer = clock.after(SAMPLE_MS, () => this.#look());
  }
}
