/**
 * `npm run bench -- --seconds 20 --clients 1,8,32 --scale 10`: TPC-B through us, through stock PostgreSQL, and through stock PostgreSQL
 * with quorum standbys, in one run. Compare the ratios; absolute figures belong to the machine.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Cluster } from '../e2e/cluster-harness.ts';
import { initialise, requirePgbench, tpcb, type BenchTarget } from './pgbench.ts';
import { stockAlone, stockQuorum, type Peer } from './peers.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    clients: { type: 'string', default: '1,8,32' },
    scale: { type: 'string', default: '10' },
    only: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const scale = Number(values.scale);
const clientCounts = values.clients.split(',').map(Number);

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Resident memory of our Node processes, MiB. */
function residentMib(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    kib += Number(match?.[1] ?? 0);
  }
  return Math.round(kib / 1024);
}

interface Ours extends Peer {
  memoryMib(): number;
}

async function ours(): Promise<Ours> {
  const cluster = await Cluster.start({ pgParameters: { shared_buffers: '256MB', max_connections: '100' }, readyWithinMs: 120_000 });
  const { host, port, user, password, database } = cluster.connection();
  const target: BenchTarget = {
    name: 'kube-aurora',
    host: host ?? '',
    port: port ?? 5432,
    user: user ?? '',
    password: String(password),
    database: database ?? '',
  };
  const pids = (): number[] => [...cluster.daemons, cluster.writer].map((process) => process.pid).filter((pid) => pid !== undefined);
  return { target, stop: () => cluster.destroy(), memoryMib: () => residentMib(pids()) };
}

const SYSTEMS = { ours, alone: stockAlone, quorum: stockQuorum } as const;

print(await requirePgbench());
print(`scale ${scale}, ${seconds} s each, ${clientCounts.join(' / ')} clients\n`);
const rows: string[] = [];
for (const [key, start] of Object.entries(SYSTEMS)) {
  if (values.only !== undefined && !values.only.split(',').includes(key)) continue;
  const peer = await start();
  try {
    await initialise(peer.target, scale);
    const figures: string[] = [];
    for (const clients of clientCounts) {
      const result = await tpcb(peer.target, clients, seconds);
      figures.push(`${Math.round(result.tps)} (${result.latencyMs.toFixed(2)} ms)`);
      print(
        `${peer.target.name}: ${clients} clients, ${Math.round(result.tps)} TPS, ${result.latencyMs.toFixed(2)} ms, ${result.failed} failed`,
      );
    }
    const memory = 'memoryMib' in peer ? `${(peer as Ours).memoryMib()} MiB` : '';
    rows.push(`| ${peer.target.name} | ${figures.join(' | ')} | ${memory} |`);
  } finally {
    await peer.stop();
  }
}
print(`\n| TPS (mean latency) | ${clientCounts.map((count) => `${count} clients`).join(' | ')} | memory of Node processes |`);
print(`| --- | ${clientCounts.map(() => '---').join(' | ')} | --- |`);
for (const row of rows) print(row);
