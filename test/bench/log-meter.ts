import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics } from './cluster-usage.ts';

const POLL_MS = 250;

/**
 * Bytes of redo that each daemon has written to its log since the meter was made, those in files that were dropped
 * again included: a daemon's own figure is what its log holds now. A file is full and has its last length when it is
 * dropped, so it is counted by the length that it was last seen with.
 */
export class LogMeter {
  readonly #cluster: Cluster;
  readonly #timer: NodeJS.Timeout;
  readonly #seen: Map<string, number>[];
  readonly #dropped: number[];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#seen = cluster.daemons.map(() => new Map());
    this.#dropped = cluster.daemons.map(() => 0);
    this.#look();
    this.#timer = setInterval(() => this.#look(), POLL_MS);
  }

  #look(): void {
    for (const [daemon, seen] of this.#seen.entries()) {
      const now = this.#files(daemon);
      for (const [name, bytes] of seen) if (!now.has(name)) this.#dropped[daemon] = (this.#dropped[daemon] ?? 0) + bytes;
      this.#seen[daemon] = now;
    }
  }

  #files(daemon: number): Map<string, number> {
    const files = new Map<string, number>();
    const directory = join(this.#cluster.directory, `d${daemon}`);
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      if (!/\/log-\d+\/[^/]+$/.test(name)) continue;
      const found = statSync(join(directory, name), { throwIfNoEntry: false });
      if (found !== undefined) files.set(name, found.size);
    }
    return files;
  }

  /** Of each daemon, in the harness's order. Only differences mean anything. */
  async written(): Promise<number[]> {
    const metrics = await daemonMetrics(this.#cluster);
    this.#look();
    return metrics.map((each, daemon) => (each.get('aurora_storage_log_bytes') ?? 0) + (this.#dropped[daemon] ?? 0));
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
