/**
 * `node test/bench/disk-plateau.ts --minutes 5 --clients 4`: a steady load of updates on a table whose size does not
 * change, and what the six daemons keep on disk meanwhile. The log advances without end; disk use must not.
 *
 * The load: each client updates `--rows-per-update` neighbouring rows of 400 bytes at a time, at random places, without
 * pause; autovacuum runs. With `--dead 1 --retain-mib 64`, one daemon is dead throughout and the others keep log for
 * it, up to so much. At the end, the highest use in the second half of the run is held against that in the first.
 */
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, directoryUse, volumeLsn } from './cluster-usage.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '4' },
    rows: { type: 'string', default: '20000' },
    'rows-per-update': { type: 'string', default: '100' },
    'sample-seconds': { type: 'string', default: '5' },
    /** Lines of the table that is printed at the end. */
    lines: { type: 'string', default: '20' },
    /** Daemons that are dead throughout: the others keep log for them, up to `retain-mib`. */
    dead: { type: 'string', default: '0' },
    'retain-mib': { type: 'string', default: '1024' },
  },
});
const endAfterMs = Number(values.minutes) * 60_000;
const rows = Number(values.rows);
const rowsPerUpdate = Number(values['rows-per-update']);

interface Sample {
  readonly seconds: number;
  /** LSN since the load began. */
  readonly advanced: number;
  /** Redo log on disk: of the daemon that uses least, and of the one that uses most. */
  readonly leastLog: number;
  readonly log: number;
  /** Of the daemon that uses most: page store, and everything on disk. */
  readonly pages: number;
  readonly all: number;
  /**
   * Highest of the six: redo past the checkpoint, references to it, most of them for one page since the last sample,
   * checkpoints so far.
   */
  readonly pastCheckpoint: number;
  readonly refs: number;
  readonly longestChain: number;
  readonly checkpoints: number;
  readonly database: number;
}

const dead = Number(values.dead);
const cluster = await Cluster.start({
  env: { AURORA_LOG_RETAIN_MIB: values['retain-mib'] },
  readyWithinMs: 120_000,
  pgParameters: { shared_buffers: '128MB', autovacuum_naptime: '5s' },
});
let running = true;

async function load(): Promise<void> {
  const client = await cluster.connect();
  try {
    while (running) {
      const from = Math.floor(Math.random() * (rows - rowsPerUpdate));
      await client.query({
        name: 'update',
        text: 'update steady set filler = repeat(md5(random()::text), 12) where id > $1 and id <= $2',
        values: [from, from + rowsPerUpdate],
      });
    }
  } finally {
    await client.end();
  }
}

async function sample(startLsn: number, startedAt: number): Promise<Sample> {
  const metrics = await daemonMetrics(cluster);
  const uses = cluster.daemons.flatMap((daemon, index) => (daemon.running ? [directoryUse(cluster, index)] : []));
  const highest = (values: readonly number[]): number => Math.max(...values);
  const gauge = (name: string): number => highest(metrics.map((each) => each.get(`aurora_storage_${name}`) ?? 0));
  const { rows: size } = await cluster.query<{ bytes: string }>('select pg_database_size(current_database()) bytes');
  return {
    seconds: (performance.now() - startedAt) / 1000,
    advanced: (await volumeLsn(cluster)) - startLsn,
    leastLog: Math.min(...uses.map((use) => use.log)),
    log: highest(uses.map((use) => use.log)),
    pages: highest(uses.map((use) => use.pages)),
    all: highest(uses.map((use) => use.all)),
    pastCheckpoint: highest(
      metrics.map((each) => (each.get('aurora_storage_scl') ?? 0) - (each.get('aurora_storage_checkpoint_lsn') ?? 0)),
    ),
    refs: gauge('index_refs'),
    longestChain: gauge('longest_chain'),
    checkpoints: gauge('checkpoints'),
    database: Number(size[0]?.bytes),
  };
}

function cells(each: Sample): string[] {
  const mib = (bytes: number): string => shown(bytes / MIB);
  const log = `${mib(each.leastLog)} to ${mib(each.log)}`;
  const use = [mib(each.advanced), mib(each.database), log, mib(each.pages), mib(each.all), mib(each.pastCheckpoint)];
  return [shown(each.seconds), ...use, shown(each.refs), shown(each.longestChain), shown(each.checkpoints)];
}

const samples: Sample[] = [];
try {
  await cluster.query('create table steady (id int primary key, filler text) with (fillfactor = 70)');
  await cluster.query(`insert into steady select g, repeat(md5(g::text), 12) from generate_series(1, ${rows}) g`);
  for (const daemon of cluster.daemons.slice(0, dead)) await daemon.kill();
  const startLsn = await volumeLsn(cluster);
  const startedAt = performance.now();
  // One that fails must not end the run without a word.
  const failures: unknown[] = [];
  const loads = Array.from({ length: Number(values.clients) }, () => load().catch((error: unknown) => failures.push(error)));
  while (performance.now() - startedAt < endAfterMs && failures.length === 0) {
    await delay(Number(values['sample-seconds']) * 1000);
    const next = await sample(startLsn, startedAt);
    samples.push(next);
    print(cells(next).join('  '));
  }
  running = false;
  await Promise.all(loads);
  if (failures.length > 0) throw new Error('a client of the load failed', { cause: failures[0] });
} finally {
  await cluster.destroy();
}

const stride = Math.max(1, Math.ceil(samples.length / Number(values.lines)));
const head = [
  's',
  'LSN advanced, MiB',
  'database',
  'redo log of the six',
  'page store',
  'all on disk',
  'past the checkpoint',
  'references',
  'longest chain',
  'checkpoints',
];
print(`\n${values.minutes} min, ${values.clients} clients, ${dead} daemons dead, ${machineLoad()}; MiB, of the daemon that uses most\n`);
print(
  markdownTable(
    head,
    samples.filter((_each, index) => index % stride === stride - 1).map((each) => cells(each)),
  ),
);
const half = Math.floor(samples.length / 2);
const peak = (part: readonly Sample[]): number => Math.max(...part.map((each) => each.all));
const [first, second] = [peak(samples.slice(0, half)), peak(samples.slice(half))];
const advanced = samples.at(-1)?.advanced ?? 0;
print(
  `\nhighest use on disk: ${shown(first / MIB)} MiB in the first half, ${shown(second / MIB)} MiB in the second; ` +
    `the log advanced by ${shown(advanced / MIB)} MiB, ${shown(advanced / second, 1)} times that`,
);
// Log goes in files of 64 MiB and at the end of a checkpoint, so use is a sawtooth, of which either half may have
// missed the tip.
if (second > first * 1.5 || advanced < second) process.exitCode = 1;
