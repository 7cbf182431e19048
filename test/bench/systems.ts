/**
 * The systems that a benchmark compares in one run: ours, stock PostgreSQL alone, and stock PostgreSQL with quorum
 * standbys.
 */
import { MEMORY_ENVIRONMENT } from '../../packages/process/src/memory-environment.ts';
import type { TestPostgres } from '@kube-aurora/test-postgres';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, settled } from './cluster-usage.ts';
import { readStages, type StageReading } from './commit-stages.ts';
import { stockAlone, stockQuorum, type Peer } from './peers.ts';
import { clusterTarget, type BenchTarget } from './pgbench.ts';
import { cpuSeconds, residentMib, treeCpuSeconds } from './process-usage.ts';
import { openZoneLinks } from './zone-links.ts';

/** CPU seconds so far of each part of a system, by the part's name. */
export type CpuReading = ReadonlyMap<string, number>;

export interface BenchSystem {
  readonly target: BenchTarget;
  /** As the superuser, who may read files of the server and make databases. */
  readonly superuser: BenchTarget;
  /** Of our Node processes. */
  memoryMib?(): number;
  /** Waits until what was done so far has left nothing to be done in the background. */
  settle(): Promise<void>;
  cpu(): Promise<CpuReading>;
  /** Seconds so far in which a daemon applied redo or stored pages, the mean of ours. */
  mergeSeconds?(): Promise<number>;
  /** Where commits' time goes, of ours. */
  stages?(): Promise<StageReading>;
  /** Ours. */
  readonly cluster?: Cluster;
  /** Copies of the stock system. */
  readonly standbys?: readonly TestPostgres[];
  stop(): Promise<void>;
}

/** How the systems that are compared are started. */
export interface BenchSetting {
  /** Milliseconds that the network between zones takes in each direction; nothing stands between them when left out. */
  readonly delayMs?: number;
  /** PostgreSQL parameters beside our own and the peers'. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of Node, for our programs, beside their own: a profile, another heap. */
  readonly nodeOptions?: string | undefined;
  /** For our programs. */
  readonly env?: Readonly<Record<string, string>>;
}

const sum = (figures: readonly number[]): number => figures.reduce((total, each) => total + each, 0);

/** Single parts, the mean of the copies, and all together. */
function reading(copiesName: string, copies: readonly number[], parts: readonly (readonly [string, number])[]): CpuReading {
  const all = sum(copies) + sum(parts.map(([, seconds]) => seconds));
  return new Map([...parts, ...(copies.length > 0 ? [[copiesName, sum(copies) / copies.length] as const] : []), ['all', all]]);
}

async function ours({ delayMs = 0, settings, nodeOptions, env }: BenchSetting): Promise<BenchSystem> {
  const linked = delayMs > 0;
  const cluster = await Cluster.start({
    pgParameters: { shared_buffers: '256MB', max_connections: '100', ...settings },
    readyWithinMs: 120_000,
    idle: linked,
    linked,
    env: { ...env, ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: `${MEMORY_ENVIRONMENT.NODE_OPTIONS} ${nodeOptions}` }) },
  });
  const links = linked ? await openZoneLinks(cluster.zoneLinks(), delayMs) : undefined;
  if (linked) await cluster.startAll(120_000);
  const processes = [cluster.writer, ...cluster.daemons];
  const target = clusterTarget(cluster);
  const superuser = { ...target, user: 'postgres', database: 'postgres' };
  return {
    target,
    superuser,
    cluster,
    mergeSeconds: async () => {
      const seconds = (await daemonMetrics(cluster)).map((each) => each.get('aurora_storage_merge_seconds') ?? 0);
      return sum(seconds) / seconds.length;
    },
    stages: () => readStages(cluster, superuser),
    settle: () => settled(cluster),
    stop: async () => {
      await cluster.destroy();
      links?.close();
    },
    memoryMib: () => sum(processes.map(({ pid }) => (pid === undefined ? 0 : residentMib(pid)))),
    cpu: async () => {
      const postgres = (await cluster.writer.status())?.postgres.pid;
      return reading(
        'each of six daemons',
        cluster.daemons.map(({ pid }) => cpuSeconds(pid ?? 0)),
        [
          ['PostgreSQL', postgres === undefined ? Number.NaN : treeCpuSeconds(postgres)],
          ['agent', cpuSeconds(cluster.writer.pid ?? 0)],
        ],
      );
    },
  };
}

/** A stock system: the server that is asked, and its standbys. */
function stock(start: (setting: BenchSetting) => Promise<Peer>): (setting: BenchSetting) => Promise<BenchSystem> {
  return async (setting) => {
    const peer = await start(setting);
    const cpu = (): Promise<CpuReading> =>
      Promise.resolve(
        reading(`each of ${peer.standbyPids.length} standbys`, peer.standbyPids.map(treeCpuSeconds), [
          ['PostgreSQL', treeCpuSeconds(peer.primaryPid)],
        ]),
      );
    return { ...peer, superuser: peer.target, cpu, settle: () => Promise.resolve() };
  };
}

const SYSTEMS: Readonly<Record<string, (setting: BenchSetting) => Promise<BenchSystem>>> = {
  ours,
  alone: stock(stockAlone),
  quorum: stock(stockQuorum),
};

/** How to start those that `only` names (a comma list), or all. Throws RangeError on an unknown one. */
export function chosenSystems(only: string | undefined, setting: BenchSetting = {}): (() => Promise<BenchSystem>)[] {
  return (only?.split(',') ?? Object.keys(SYSTEMS)).map((key) => {
    const start = SYSTEMS[key];
    if (start === undefined) throw new RangeError(`--only takes ${Object.keys(SYSTEMS).join(', ')}, not ${key}`);
    return () => start(setting);
  });
}
