/**
 * The systems that a benchmark compares in one run: ours, stock PostgreSQL alone, and stock PostgreSQL with quorum
 * standbys.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testPki } from '../../compute-node/src/tls/fixture-pki.ts';
import { MEMORY_ENVIRONMENT } from '../../packages/process/src/memory-environment.ts';
import type { TestPostgres } from '@kube-aurora/test-postgres';
import type { SegmentRole, VolumeCopies } from '@kube-aurora/volume';
import { ClusterCertificates } from '../e2e/cluster-certificates.ts';
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
  /** Seconds so far in which a daemon applied redo or stored pages, the mean of ours that do. */
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
  /** Our programs speak plain text with one another. */
  readonly plainText?: boolean;
  /** Ours encrypts what is on the disks of storage. */
  readonly encrypted?: boolean;
  /** Our PostgreSQL has a certificate to show clients. */
  readonly clientTls?: boolean;
  /** For our programs. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the six copies of ours are, Full unless given; with several, ours is started once with each. */
  readonly copies?: readonly VolumeCopies[];
}

const sum = (figures: readonly number[]): number => figures.reduce((total, each) => total + each, 0);

/** Copies of one kind. */
interface CopiesCpu {
  readonly name: string;
  readonly seconds: readonly number[];
}

/** Single parts, the mean of the copies of each kind, and all together. */
function reading(kinds: readonly CopiesCpu[], parts: readonly (readonly [string, number])[]): CpuReading {
  const all = sum(kinds.flatMap(({ seconds }) => seconds)) + sum(parts.map(([, seconds]) => seconds));
  const means = kinds.flatMap(({ name, seconds }) => (seconds.length > 0 ? [[name, sum(seconds) / seconds.length] as const] : []));
  return new Map([...parts, ...means, ['all', all]]);
}

/** A directory with it; whose name it has, pgbench does not look at. */
async function shownCertificate(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'ka-bench-tls-'));
  const { pair } = await testPki(['127.0.0.1']);
  writeFileSync(join(directory, 'tls.crt'), pair.certificate);
  writeFileSync(join(directory, 'tls.key'), pair.key);
  return directory;
}

async function ours(
  { delayMs = 0, settings, nodeOptions, env, plainText = false, encrypted = false, clientTls = false }: BenchSetting,
  copies: VolumeCopies,
): Promise<BenchSystem> {
  const linked = delayMs > 0;
  const certificates = plainText ? undefined : await ClusterCertificates.make();
  const shown = clientTls ? await shownCertificate() : undefined;
  const cluster = await Cluster.start({
    ...(certificates === undefined ? {} : { certificates }),
    pgParameters: { shared_buffers: '256MB', max_connections: '100', ...settings },
    readyWithinMs: 120_000,
    idle: linked,
    linked,
    copies,
    encrypted,
    env: {
      ...env,
      ...(shown === undefined ? {} : { AURORA_TLS_DIR: shown }),
      ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: `${MEMORY_ENVIRONMENT.NODE_OPTIONS} ${nodeOptions}` }),
    },
  });
  const links = linked ? await openZoneLinks(cluster.zoneLinks(), delayMs) : undefined;
  if (linked) await cluster.startAll(120_000);
  const processes = [cluster.writer, ...cluster.daemons];
  const isMixed = copies === 'Mixed';
  const target = { ...clusterTarget(cluster), ...(isMixed ? { name: 'kube-aurora, mixed copies' } : {}) };
  const superuser = { ...target, user: 'postgres', database: 'postgres' };
  return {
    target,
    superuser,
    cluster,
    mergeSeconds: async () => {
      const seconds = (await daemonMetrics(cluster)).map((each) => each.get('aurora_storage_merge_seconds') ?? 0);
      return sum(seconds) / cluster.roles.filter((role) => role === 'FULL').length;
    },
    stages: () => readStages(cluster, superuser),
    settle: () => settled(cluster),
    stop: async () => {
      await cluster.destroy();
      certificates?.remove();
      if (shown !== undefined) rmSync(shown, { recursive: true });
      links?.close();
    },
    memoryMib: () => sum(processes.map(({ pid }) => (pid === undefined ? 0 : residentMib(pid)))),
    cpu: async () => {
      const postgres = (await cluster.writer.status())?.postgres.pid;
      const ofRole = (role: SegmentRole): number[] =>
        cluster.daemons.flatMap(({ pid }, index) => (cluster.roles[index] === role ? [cpuSeconds(pid ?? 0)] : []));
      return reading(
        [
          { name: isMixed ? 'each of three full daemons' : 'each of six daemons', seconds: ofRole('FULL') },
          { name: 'each of three tails', seconds: ofRole('TAIL') },
        ],
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
        reading(
          [{ name: `each of ${peer.standbyPids.length} standbys`, seconds: peer.standbyPids.map(treeCpuSeconds) }],
          [['PostgreSQL', treeCpuSeconds(peer.primaryPid)]],
        ),
      );
    return { ...peer, superuser: peer.target, cpu, settle: () => Promise.resolve() };
  };
}

type Start = (setting: BenchSetting) => Promise<BenchSystem>;

const SYSTEMS: Readonly<Record<string, (copies: readonly VolumeCopies[]) => readonly Start[]>> = {
  ours: (copies) =>
    copies.map(
      (each): Start =>
        (setting) =>
          ours(setting, each),
    ),
  alone: () => [stock(stockAlone)],
  quorum: () => [stock(stockQuorum)],
  'quorum-tls': () => [stock((setting) => stockQuorum({ ...setting, isTls: true }))],
};
const COMPARED = ['ours', 'alone', 'quorum'];

/** What `--copies` says. Throws RangeError on anything else. */
export function copiesNamed(names: string): VolumeCopies[] {
  return names.split(',').map((name) => {
    if (name === 'Full' || name === 'Mixed') return name;
    throw new RangeError(`--copies takes Full, Mixed or both with a comma between, not ${name}`);
  });
}

/** How to start those that `only` names (a comma list), or ours and the two that it is always compared with. Throws RangeError on an unknown one. */
export function chosenSystems(only: string | undefined, setting: BenchSetting = {}): (() => Promise<BenchSystem>)[] {
  return (only?.split(',') ?? COMPARED).flatMap((key) => {
    const starts = SYSTEMS[key]?.(setting.copies ?? ['Full']);
    if (starts === undefined) throw new RangeError(`--only takes ${Object.keys(SYSTEMS).join(', ')}, not ${key}`);
    return starts.map((start) => () => start(setting));
  });
}
