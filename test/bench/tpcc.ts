/**
 * `node test/bench/tpcc.ts --warehouses 10 --seconds 120 --clients 8`: TPC-C (go-tpc, on the PATH: `go install
 * github.com/pingcap/go-tpc/cmd/go-tpc@v1.0.12`) through us, through stock PostgreSQL, and through stock PostgreSQL
 * with quorum standbys: transactions a minute, and the redo that each transaction sends to a copy.
 *
 * Tables larger than `--shared-buffers` are what makes page images dear: after each checkpoint stock PostgreSQL logs
 * the whole of every page that it changes first. Its checkpoint settings are PostgreSQL's own (`max_wal_size` of 1 GB,
 * five minutes), and it gets a checkpoint before the measured time.
 */
import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { checkpoint, connectTo, type BenchTarget } from './pgbench.ts';
import { machineLoad } from './process-usage.ts';
import { chosenSystems, type BenchSystem } from './systems.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    warehouses: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '120' },
    warmup: { type: 'string', default: '10' },
    clients: { type: 'string', default: '8' },
    'shared-buffers': { type: 'string', default: '128MB' },
    only: { type: 'string' },
  },
});

const run = promisify(execFile);

/** Runs one of go-tpc's commands for TPC-C, and gives what it printed. */
async function tpcc({ host, port, user, password, database }: BenchTarget, command: string, args: readonly string[]): Promise<string> {
  // It knows no sockets of the file system. The stock servers listen on loopback as well.
  const place = ['-H', host.startsWith('/') ? '127.0.0.1' : host, '-P', String(port), '-U', user, '-p', password, '-D', database];
  const all = ['tpcc', command, '-d', 'postgres', '--conn-params', 'sslmode=disable', '--warehouses', values.warehouses, ...place, ...args];
  const { stdout } = await run('go-tpc', all, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

interface Outcome {
  readonly name: string;
  readonly perMinute: number;
  readonly newOrdersPerMinute: number;
  readonly p99Ms: number;
  /** Bytes of WAL a transaction. */
  readonly wal: number;
  readonly cpuMs: number;
}

async function walBytes(target: BenchTarget): Promise<number> {
  const client = await connectTo(target);
  try {
    const { rows } = await client.query<{ bytes: string }>("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as bytes");
    return Number(rows[0]?.bytes);
  } finally {
    await client.end();
  }
}

async function measure(system: BenchSystem): Promise<Outcome> {
  const { target, superuser } = system;
  const threads = ['-T', values.clients];
  await tpcc(target, 'prepare', threads);
  await tpcc(target, 'run', [...threads, '--time', `${values.warmup}s`]);
  await system.settle();
  await checkpoint(superuser);
  const [walBefore, cpuBefore] = [await walBytes(superuser), (await system.cpu()).get('all') ?? 0];
  const output = await tpcc(target, 'run', [...threads, '--time', `${values.seconds}s`]);
  const [walAfter, cpuAfter] = [await walBytes(superuser), (await system.cpu()).get('all') ?? 0];
  const summary = [...output.matchAll(/^\[Summary\] (\w+) - .*?Count: (\d+), TPM: ([\d.]+),.*?99th\(ms\): ([\d.]+)/gm)];
  const counted = summary.filter(([, name]) => name?.endsWith('_ERR') === false);
  const transactions = counted.reduce((sum, [, , count]) => sum + Number(count), 0);
  if (transactions === 0) throw new Error(`go-tpc printed no summary of transactions:\n${output}`);
  const newOrders = counted.find(([, name]) => name === 'NEW_ORDER');
  return {
    name: target.name,
    perMinute: counted.reduce((sum, [, , , perMinute]) => sum + Number(perMinute), 0),
    newOrdersPerMinute: Number(newOrders?.[3] ?? 0),
    p99Ms: Number(newOrders?.[4] ?? 0),
    wal: (walAfter - walBefore) / transactions,
    cpuMs: (1000 * (cpuAfter - cpuBefore)) / transactions,
  };
}

print(
  `TPC-C, ${values.warehouses} warehouses, ${values.clients} clients, ${values.seconds} s each, shared_buffers ${values['shared-buffers']}`,
);
print(`at the start ${machineLoad()}\n`);
const outcomes: Outcome[] = [];
for (const start of chosenSystems(values.only, { settings: { shared_buffers: values['shared-buffers'], max_wal_size: '1GB' } })) {
  const system = await start();
  try {
    const outcome = await measure(system);
    outcomes.push(outcome);
    print(`${outcome.name}: ${shown(outcome.perMinute)} transactions a minute, ${shown(outcome.wal)} bytes of WAL each`);
  } finally {
    await system.stop();
  }
}
print(`\n${machineLoad()}\n`);
const first = outcomes[0];
print(
  markdownTable(
    [
      '',
      'transactions a minute',
      'of them new orders',
      'p99 of a new order, ms',
      'bytes of WAL a transaction',
      'CPU ms a transaction, all',
    ],
    outcomes.map((each) => [
      each.name,
      shown(each.perMinute),
      shown(each.newOrdersPerMinute),
      shown(each.p99Ms),
      shown(each.wal),
      shown(each.cpuMs, 2),
    ]),
  ),
);
for (const other of outcomes.slice(1)) {
  if (first === undefined) break;
  print(`\nours ÷ ${other.name}: throughput ${shown(first.perMinute / other.perMinute, 2)}, WAL ${shown(first.wal / other.wal, 3)}`);
}
