/**
 * `node test/bench/failover-warmth.ts --scale 17 --runs 3 --workloads tpcb,mixed,select --pages 0,4000 --before 40 --after 40`: transactions a second
 * in each second before and after the loss of a writer's PostgreSQL, with the next writer's cache kept warm or not.
 *
 * One cluster of two computes, whose shared_buffers are a quarter of the data, and whose local caches hold all of it. In each run the
 * writer has read all of it, then pgbench (8 clients) runs on it while a reader follows that began with nothing in its cache; `kill -9`
 * of the writer's PostgreSQL; pgbench again, as soon as the other one takes writes. What was the writer comes back as a reader
 * beside it, as it would anywhere, and is the reader of the next run. `--pages` are what `warmPagesPerSecond` of failover.json is
 * in turns, 0 for off; with it on, the reader has what it can get when the load begins, as one that has followed for long.
 * `mixed` is nine lookups to one transaction of TPC-B.
 *
 * On a machine with other work TPS move by themselves. So each second's are also given by the CPU that all of the cluster's
 * processes took: that figure falls when a transaction costs more, whoever else is there.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';
import type { AgentStatus, Writer } from '../e2e/compute-process.ts';
import { settled } from './cluster-usage.ts';
import { scrape } from './metrics.ts';
import { clusterTarget, initialise, requirePgbench } from './pgbench.ts';
import { cpuSeconds, machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '17' },
    runs: { type: 'string', default: '3' },
    workloads: { type: 'string', default: 'tpcb,mixed,select' },
    pages: { type: 'string', default: '0,4000' },
    clients: { type: 'string', default: '8' },
    before: { type: 'string', default: '40' },
    after: { type: 'string', default: '40' },
  },
});
const WORKLOADS = {
  tpcb: ['-b', 'tpcb-like'],
  mixed: ['-b', 'select-only@9', '-b', 'tpcb-like@1'],
  select: ['-b', 'select-only'],
} as const;
type Workload = keyof typeof WORKLOADS;
/** Of a scale of one, with its index. */
const MIB_PER_SCALE = 15;
/** What a failover is measured against: the last seconds before it. */
const STEADY_S = 10;
const BACK = 0.9;
const WARM_SHARE = 0.98;
const WITHIN_MS = 600_000;

const scale = Number(values.scale);
const [beforeS, afterS] = [Number(values.before), Number(values.after)];
const workloads = values.workloads.split(',').map((name) => {
  if (!Object.hasOwn(WORKLOADS, name)) throw new TypeError(`--workloads: '${name}' is none of ${Object.keys(WORKLOADS).join(', ')}`);
  return name as Workload;
});
const rates = values.pages.split(',').map(Number);
await requirePgbench();

const sharedBuffersMib = Math.round((scale * MIB_PER_SCALE) / 4);
const cluster = await Cluster.start({
  role: 'auto',
  readyWithinMs: WITHIN_MS,
  pgParameters: { shared_buffers: `${sharedBuffersMib}MB`, max_connections: '50' },
  env: {
    AURORA_CACHE_MIB: String(Math.max(256, scale * MIB_PER_SCALE * 3)),
    // A busy machine must not replace a writer by itself. One whose PostgreSQL is dead is replaced at once all the same.
    AURORA_FAILOVER_AFTER_MS: '30000',
  },
});

/** Those that there are. */
const computes: Writer[] = [cluster.writer];

/** One second of load, as pgbench told it: transactions, and CPU seconds of the whole cluster and of its parts. */
interface Second {
  readonly tps: number;
  readonly cpu: number;
  readonly daemons: number;
  /** Who is written to, and the other one. */
  readonly writer: number;
  readonly other: number;
}
type Cpu = Omit<Second, 'tps'>;

function clusterCpu(writer: Writer): Cpu {
  const daemons = cluster.daemons.reduce((sum, { pid }) => sum + cpuSeconds(pid ?? 0), 0);
  const [own, other] = [writer, computes.find((one) => one !== writer)].map((one) => treeCpuSeconds(one?.pid ?? 0)) as [number, number];
  return { cpu: daemons + own + other, daemons, writer: own, other };
}

const without = (now: Cpu, before: Cpu): Cpu => ({
  cpu: now.cpu - before.cpu,
  daemons: now.daemons - before.daemons,
  writer: now.writer - before.writer,
  other: now.other - before.other,
});

/** One pgbench: transactions of each second since it began, as it tells them. */
class Load {
  readonly perSecond: Second[] = [];
  #cpu: Cpu;
  readonly ended: Promise<void>;
  readonly #child;

  constructor(compute: Writer, workload: Workload, seconds: number) {
    this.#cpu = clusterCpu(compute);
    const { host, port, user, password, database } = { ...clusterTarget(cluster), host: compute.host };
    const args = ['-n', '-P', '1', ...WORKLOADS[workload], '-c', values.clients, '-j', '2', '-T', String(seconds)];
    this.#child = spawn('pgbench', ['-h', host, '-p', String(port), '-U', user, ...args, database], {
      env: { ...process.env, PGPASSWORD: password },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let told = '';
    this.#child.stderr.on('data', (chunk: Buffer) => {
      told += chunk.toString();
      const lines = told.split('\n');
      told = lines.pop() ?? '';
      for (const line of lines) {
        const tps = /^progress: [\d.]+ s, ([\d.]+) tps/.exec(line)?.[1];
        if (tps === undefined) continue;
        const cpu = clusterCpu(compute);
        this.perSecond.push({ tps: Number(tps), ...without(cpu, this.#cpu) });
        this.#cpu = cpu;
      }
    });
    this.ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }
}

/** Everything that it could need is in the local cache of that compute. */
async function readAll(compute: Writer): Promise<void> {
  const client = await cluster.connect(compute);
  for (const table of ['pgbench_accounts', 'pgbench_tellers', 'pgbench_branches'])
    for (const name of [table, `${table}_pkey`]) await client.query(`select pg_prewarm('${name}', 'read')`);
  await client.end();
}

async function pagesRead({ host }: Writer): Promise<number> {
  return (await scrape(`${host}:7003`)).get('aurora_pages_read_total') ?? 0;
}

interface Run {
  readonly before: readonly Second[];
  /** Until the other one has taken a write. */
  readonly awayMs: number;
  /** Each second from then on. */
  readonly after: readonly Second[];
  /** Milliseconds until the reader had what it could get; undefined where it gets nothing. */
  readonly warmingMs: number | undefined;
  /** Of the writer's pages, those that were here; undefined where nobody looked. */
  readonly share: number | undefined;
  readonly fetchedAfter: number;
  readonly load: string;
}

/** Waits until the reader has nearly all of the writer's pages; milliseconds. */
async function warmed(reader: Writer): Promise<number> {
  const startedAt = performance.now();
  const share = async (): Promise<number> => (await reader.status())?.warmth?.share ?? 0;
  await cluster.until(`${reader.name} is warm`, async () => (await share()) > WARM_SHARE, WITHIN_MS);
  return performance.now() - startedAt;
}

async function takesWrites(compute: Writer): Promise<void> {
  for (;;) {
    try {
      const client = await cluster.connect(compute);
      try {
        await client.query('insert into pgbench_history (tid, bid, aid, delta, mtime) values (1, 1, 1, 0, now())');
        return;
      } finally {
        await client.end();
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      await delay(20);
    }
  }
}

async function run(writer: Writer, reader: Writer, workload: Workload, pagesPerSecond: number): Promise<Run> {
  await cluster.until('the other one reads', async () => (await reader.status())?.role === 'reader' && (await answers(reader)), WITHIN_MS);
  await readAll(writer);
  cluster.setFailover({ warmPagesPerSecond: pagesPerSecond });
  const warmingMs = pagesPerSecond === 0 ? undefined : await warmed(reader);
  const load = new Load(writer, workload, 3600);
  await delay(beforeS * 1000);
  const { warmth } = await statusOf(reader);
  const { pid } = (await statusOf(writer)).postgres;
  if (pid === undefined) throw new Error(`${writer.name} has no PostgreSQL`);
  const before = load.perSecond.slice(-STEADY_S);
  if (before.length < STEADY_S || (await statusOf(writer)).role !== 'writer') throw new Error(`${writer.name} did not stay the writer`);
  const killedAt = performance.now();
  process.kill(pid, 'SIGKILL');
  await takesWrites(reader);
  const awayMs = performance.now() - killedAt;
  const readBefore = await pagesRead(reader);
  const next = new Load(reader, workload, afterS);
  await Promise.all([load.ended, next.ended]);
  const fetchedAfter = (await pagesRead(reader)) - readBefore;
  return { before, awayMs, after: next.perSecond, warmingMs, share: warmth?.share, fetchedAfter, load: machineLoad() };
}

async function statusOf(compute: Writer): Promise<AgentStatus> {
  for (;;) {
    const status = await compute.status();
    if (status !== undefined) return status;
  }
}

const answers = async (compute: Writer): Promise<boolean> => (await compute.status())?.postgres.ready === true;

/** The first second from which there are nine tenths of what was, counted from the kill; Infinity: not in this time. */
function backAfter({ before, awayMs, after }: Run): number {
  const second = after.findIndex(({ tps }) => tps >= BACK * tpsOf(before));
  return second < 0 ? Infinity : awayMs / 1000 + second + 1;
}

const total = (seconds: readonly Second[], of: keyof Second): number => seconds.reduce((sum, second) => sum + second[of], 0);
const tpsOf = (seconds: readonly Second[]): number => total(seconds, 'tps') / seconds.length;
/** Transactions for a second of CPU. */
const perCpuOf = (seconds: readonly Second[]): number => total(seconds, 'tps') / total(seconds, 'cpu');
/** Milliseconds of CPU for a transaction: of writer, daemons and the other compute. */
const costOf = (seconds: readonly Second[]): string =>
  (['writer', 'daemons', 'other'] as const).map((part) => shown((1000 * total(seconds, part)) / total(seconds, 'tps'), 2)).join(' + ');

const percent = (part: number): string => `${shown(part * 100)} %`;
const median = (each: readonly number[]): number => quantile(each, 0.5);

/** Seconds after, together. */
const SPANS = [
  [0, 1],
  [1, 5],
  [5, 10],
  [10, 20],
  [20, afterS],
] as const;

const measured = new Map<string, Run[]>();
try {
  const setUp = await cluster.connect(cluster.writer, { user: 'postgres' });
  await setUp.query('create extension pg_prewarm; grant execute on function pg_prewarm to app');
  await setUp.end();
  await initialise(clusterTarget(cluster), scale);
  await settled(cluster);
  const other = cluster.addInstance('zone-b');
  other.start();
  computes.push(other);
  await cluster.writerReady(WITHIN_MS, other);
  let [writer, reader] = [cluster.writer, other];
  for (const workload of workloads)
    for (let round = 0; round < Number(values.runs); round++)
      for (const rate of rates) {
        const one = await run(writer, reader, workload, rate);
        [writer, reader] = [reader, writer];
        const key = `${workload}/${rate}`;
        measured.set(key, [...(measured.get(key) ?? []), one]);
        const seconds = one.after.map(({ tps, cpu }) => `${shown(tps)}/${shown(tps / cpu)}`).join(' ');
        print(
          `${workload}, ${rate === 0 ? 'not warmed' : `${rate} pages a second`}: before ${shown(tpsOf(one.before))} TPS, ${shown(perCpuOf(one.before))} for a CPU second; ${one.share === undefined ? 'share unknown' : `${percent(one.share)} there`}${one.warmingMs === undefined ? '' : ` after ${shown(one.warmingMs / 1000, 1)} s`}; ` +
            `away ${shown(one.awayMs)} ms; then ${seconds}; ${shown(one.fetchedAfter)} pages fetched after; load ${one.load}`,
        );
        print(
          `  CPU ms a transaction, writer + daemons + other: before ${costOf(one.before)}; ${SPANS.map(([from, to]) => `s ${from + 1} to ${to}: ${costOf(one.after.slice(from, to))}`).join('; ')}`,
        );
      }
} finally {
  await cluster.destroy();
}

const rows = [...measured].map(([key, all]) => {
  const [workload = '', rate = ''] = key.split('/');
  const back = median(all.map(backAfter));
  return [
    workload,
    rate === '0' ? 'no' : rate,
    shown(median(all.map(({ before }) => tpsOf(before)))),
    `${shown(median(all.map(({ awayMs }) => awayMs)) / 1000, 1)} s`,
    ...SPANS.map(([from, to]) => {
      const share = (of: (seconds: readonly Second[]) => number): string =>
        percent(median(all.map(({ before, after }) => of(after.slice(from, to)) / of(before))));
      return `${share(tpsOf)} / ${share(perCpuOf)}`;
    }),
    back === Infinity ? `not in ${afterS} s` : `${shown(back, 1)} s`,
    shown(median(all.map(({ fetchedAfter }) => fetchedAfter))),
  ];
});
print('');
print(
  markdownTable(
    [
      'workload',
      'warmed, pages/s',
      'TPS before',
      'away',
      ...SPANS.map(([from, to]) => `s ${from + 1} to ${to}`),
      '90 % after',
      'pages fetched',
    ],
    rows,
  ),
);
