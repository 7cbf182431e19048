/**
 * `node test/bench/bytes-per-transaction.ts --transactions 20000 --clients 1,8 --scale 10`: bytes of redo for each
 * pgbench TPC-B transaction: on the wire to a copy, in its log and on its disk, beside the WAL that stock PostgreSQL
 * writes for the same.
 *
 * Ours: "redo" is what the agent's batches hold, payload and headers, as the daemons' logs grow by it; "wire" is what
 * TCP carried from agent to daemon (ss(8): headers of frames and heartbeats too); "kept" is how much its data directory
 * grew. Stock: pg_current_wal_lsn() before and after. A checkpoint comes right before each run; "several checkpoints"
 * has one after each tenth of the transactions, and with it pages whose first change after it puts them into the WAL
 * whole. "disk" is what the disk was given to write by the whole machine, a copy: true only while nothing else writes.
 * Ours has the page store's writes in it, about every 40,000 of these transactions: only a run of several checkpoints
 * says what it is in the long run. Autovacuum is off on both sides: pgbench's -n runs no VACUUM either, and a run of it
 * in one row only would blur the rest.
 */
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, directoryUse, settled, volumeLsn } from './cluster-usage.ts';
import { LogMeter } from './log-meter.ts';
import { checkpoint, clusterTarget, initialise, requirePgbench, tpcbTimes, type BenchTarget } from './pgbench.ts';
import { diskBytesWritten, machineLoad } from './process-usage.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    transactions: { type: 'string', default: '20000' },
    clients: { type: 'string', default: '1,8' },
    scale: { type: 'string', default: '10' },
  },
});
const scale = Number(values.scale);
const clientCounts = values.clients.split(',').map(Number);
const CHECKPOINTS = 10;

interface Row {
  readonly what: string;
  readonly clients: number;
  /** Bytes a transaction; undefined where it means nothing. */
  readonly wal: number;
  readonly redo?: number;
  readonly wire?: number;
  readonly disk?: number | undefined;
  readonly kept?: number;
  /** Times that a daemon wrote pages in the run, not a transaction. */
  readonly checkpoints?: number;
}

const rows: Row[] = [];

function add(row: Row): void {
  rows.push(row);
  print(cells(row).join('  '));
}

function cells({ what, clients, wal, redo, wire, disk, kept, checkpoints }: Row): string[] {
  const figure = (value: number | undefined): string => (value === undefined ? '' : shown(value));
  return [what, String(clients), ...[wal, redo, wire, disk, kept].map(figure), checkpoints === undefined ? '' : shown(checkpoints, 1)];
}

const mean = (figures: readonly number[]): number => figures.reduce((sum, each) => sum + each, 0) / figures.length;

/** Bytes sent so far on the connections from one host's processes to each daemon's port for frames. */
async function bytesSentToDaemons(cluster: Cluster): Promise<number> {
  const pid = cluster.writer.pid;
  const { stdout } = await promisify(execFile)('ss', ['-tinpHO', 'state', 'established', 'dport', '=', ':7004']);
  return stdout
    .split('\n')
    .filter((line) => line.includes(`pid=${pid},`))
    .reduce((sum, line) => sum + Number(/bytes_sent:(\d+)/.exec(line)?.[1] ?? 0), 0);
}

interface Totals {
  readonly lsn: number;
  readonly logs: readonly number[];
  /** Mean of the six. */
  readonly checkpoints: number;
  readonly disk: number | undefined;
  readonly kept: readonly number[];
  readonly sent: number;
}

async function totals(cluster: Cluster, meter: LogMeter): Promise<Totals> {
  const metrics = await daemonMetrics(cluster);
  return {
    lsn: await volumeLsn(cluster),
    logs: await meter.written(),
    checkpoints: mean(metrics.map((each) => each.get('aurora_storage_checkpoints') ?? 0)),
    disk: diskBytesWritten(cluster.directory),
    kept: cluster.daemons.map((_daemon, index) => directoryUse(cluster, index).all),
    sent: await bytesSentToDaemons(cluster),
  };
}

async function ours(): Promise<void> {
  const cluster = await Cluster.start({ pgParameters: { shared_buffers: '256MB', autovacuum: 'off' }, readyWithinMs: 120_000 });
  const meter = new LogMeter(cluster);
  try {
    const target = clusterTarget(cluster);
    await initialise(target, scale);
    for (const clients of clientCounts) {
      await settled(cluster);
      const before = await totals(cluster, meter);
      const { transactions } = await tpcbTimes(target, clients, Math.round(Number(values.transactions) / clients));
      await settled(cluster);
      const after = await totals(cluster, meter);
      const each = (key: 'logs' | 'kept'): number =>
        mean(after[key].map((bytes, index) => bytes - (before[key][index] ?? 0))) / transactions;
      add({
        what: 'kube-aurora, each of six copies',
        clients,
        wal: (after.lsn - before.lsn) / transactions,
        redo: each('logs'),
        wire: (after.sent - before.sent) / cluster.daemons.length / transactions,
        disk: perTransaction(before.disk, after.disk, transactions * cluster.daemons.length),
        kept: each('kept'),
        checkpoints: after.checkpoints - before.checkpoints,
      });
    }
  } finally {
    meter.stop();
    await cluster.destroy();
  }
}

function perTransaction(before: number | undefined, after: number | undefined, transactions: number): number | undefined {
  return before === undefined || after === undefined ? undefined : (after - before) / transactions;
}

async function walLsn(postgres: TestPostgres): Promise<number> {
  const client = await postgres.connect();
  try {
    const { rows } = await client.query<{ wal: string }>(`select pg_current_wal_lsn() - '0/0' wal`);
    return Number(rows[0]?.wal);
  } finally {
    await client.end();
  }
}

async function stock(what: string, settings: Readonly<Record<string, string>>, checkpoints: number): Promise<void> {
  const postgres = await startPostgres({
    settings: { fsync: true, shared_buffers: '256MB', max_wal_size: '10GB', checkpoint_timeout: '1h', autovacuum: 'off', ...settings },
  });
  const target: BenchTarget = {
    name: what,
    host: postgres.socketDir,
    port: postgres.port,
    user: 'postgres',
    password: '',
    database: 'postgres',
  };
  try {
    await initialise(target, scale);
    for (const clients of clientCounts) {
      let transactions = 0;
      await checkpoint(target);
      const [before, diskBefore] = [await walLsn(postgres), diskBytesWritten(postgres.dataDir)];
      for (let part = 0; part < checkpoints; part++) {
        if (part > 0) await checkpoint(target);
        transactions += (await tpcbTimes(target, clients, Math.round(Number(values.transactions) / checkpoints / clients))).transactions;
      }
      const wal = ((await walLsn(postgres)) - before) / transactions;
      // Data files are written by the checkpoint that the run's changes have to be in.
      await checkpoint(target);
      add({ what, clients, wal, disk: perTransaction(diskBefore, diskBytesWritten(postgres.dataDir), transactions) });
    }
  } finally {
    await postgres.remove();
  }
}

print(await requirePgbench());
print(`scale ${scale}, ${values.transactions} transactions a run\n`);
await ours();
await stock('stock, full_page_writes on, after a checkpoint', {}, 1);
await stock('stock, full_page_writes on, several checkpoints', {}, CHECKPOINTS);
await stock('stock, full_page_writes off', { full_page_writes: 'off' }, 1);
await stock('before: page images on every record', { full_page_writes: 'off', wal_consistency_checking: 'all' }, 1);

print(`\nbytes a transaction; ${machineLoad()}\n`);
print(
  markdownTable(['', 'clients', 'WAL (LSN)', 'redo in the log', 'wire', 'disk', 'kept on disk', 'checkpoints in the run'], rows.map(cells)),
);
const most = Math.max(...rows.flatMap(({ redo }) => (redo === undefined ? [] : [redo])));
const least = Math.min(...rows.filter(({ what }) => what.includes('writes on')).map(({ wal }) => wal));
print(`\nredo a transaction and copy: at most ${shown(most)}; stock PostgreSQL's WAL a transaction: at least ${shown(least)}`);
if (most > least) process.exitCode = 1;
