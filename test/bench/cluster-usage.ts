/** What a running cluster's daemons hold and have done: the figures that several benchmarks take twice and subtract. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseEndpoints } from '@kube-aurora/rpc';
import type { Cluster } from '../e2e/cluster-harness.ts';
import { scrape, type Metrics } from './metrics.ts';

/** host:port of each daemon's /metrics, in the harness's order. */
export function daemonMetricsAddresses(cluster: Cluster): string[] {
  return parseEndpoints(cluster.daemonsAddress(), 'zoned').map(({ address }) => address.replace(/:\d+$/, ':7002'));
}

/** Of each daemon that runs. */
export function daemonMetrics(cluster: Cluster): Promise<Metrics[]> {
  const running = daemonMetricsAddresses(cluster).filter((_address, index) => cluster.daemons[index]?.running === true);
  return Promise.all(running.map(scrape));
}

export function writerMetrics(cluster: Cluster): Promise<Metrics> {
  return scrape(`${cluster.writer.host}:7003`);
}

/** No daemon ended a checkpoint or wrote what it has of redo into pages for so long: none is under way. */
const SETTLED_MS = 5000;

/**
 * Waits until the daemons have made the checkpoints that they are going to make: work that belongs to what was done
 * before.
 */
export async function settled(cluster: Cluster): Promise<void> {
  const done = async (): Promise<string> =>
    (await daemonMetrics(cluster))
      .map((each) => `${each.get('aurora_storage_checkpoints') ?? 0}/${each.get('aurora_storage_index_refs') ?? 0}`)
      .join(' ');
  for (let before = '', now = await done(); before !== now; now = await done()) {
    before = now;
    await delay(SETTLED_MS);
  }
}

export interface DirectoryUse {
  /** Redo log, bytes allocated on disk. */
  readonly log: number;
  /** Page store (LevelDB's files, also those that it is about to remove). */
  readonly pages: number;
  /** Everything below the data directory. */
  readonly all: number;
}

/** Bytes allocated (not lengths: log files are extended ahead, as holes) below one daemon's data directory. */
export function directoryUse(cluster: Cluster, daemon: number): DirectoryUse {
  const use = { log: 0, pages: 0, all: 0 };
  const walk = (directory: string, part: 'log' | 'pages' | undefined): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path, part ?? partOf(entry.name));
      else {
        // LevelDB removes files while we look.
        const bytes = (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
        use.all += bytes;
        if (part !== undefined) use[part] += bytes;
      }
    }
  };
  walk(join(cluster.directory, `d${daemon}`), undefined);
  return use;
}

function partOf(directory: string): 'log' | 'pages' | undefined {
  if (directory.startsWith('log-')) return 'log';
  return directory.startsWith('pages-') ? 'pages' : undefined;
}

/** The volume durable LSN as the writer knows it. */
export async function volumeLsn(cluster: Cluster): Promise<number> {
  return Number((await cluster.writer.status())?.vdl ?? '0');
}
