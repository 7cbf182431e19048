/**
 * `node test/bench/fifteen-readers.ts --readers 15 --seconds 20`: as many readers as a volume may have, with small settings, all
 * started at once: how long until all serve, what memory and CPU they take, and how long a commit takes to be seen on each of
 * them while all are read.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, ZONES } from '../e2e/cluster-harness.ts';
import type { Writer } from '../e2e/compute-process.ts';
import { machineLoad, tree, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, MIB, print, quantile, shown } from './table.ts';

const { values } = parseArgs({ options: { readers: { type: 'string', default: '15' }, seconds: { type: 'string', default: '20' } } });
const count = Number(values.readers);
const seconds = Number(values.seconds);
const ACCOUNTS = 20_000;
/** A commit every so often: fifteen readers look for it by polling, which is what takes the time. */
const COMMIT_EVERY_MS = 200;
const LOOK_EVERY_MS = 20;
/** A machine that has other things to do is no error. */
const PATIENT = { connectionTimeoutMillis: 120_000 };

const cluster = await Cluster.start({
  readyWithinMs: 120_000,
  pgParameters: { shared_buffers: '16MB', max_connections: '30' },
  env: { AURORA_CACHE_MIB: '32', AURORA_READ_AHEAD_MIB: '4' },
});

/** Memory of a compute without what several of its processes share counted more than once (Pss), MiB: the agent, and PostgreSQL. */
function memoryOf({ pid }: Writer): { readonly agent: number; readonly postgres: number } {
  if (pid === undefined) throw new Error('it does not run');
  const mib = (one: number): number => {
    try {
      return (Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024) / MIB;
    } catch (error) {
      // A session that ended meanwhile.
      if (error instanceof Error && 'code' in error) return 0;
      throw error;
    }
  };
  const [agent, ...below] = tree(pid).map(mib);
  return { agent: agent ?? 0, postgres: below.reduce((sum, one) => sum + one, 0) };
}

/** One after another, every commit is waited for on every reader; all of them are queried meanwhile. */
async function readAll(
  readers: readonly Writer[],
): Promise<{ readonly lags: number[][]; readonly wrong: number; readonly queries: number }> {
  const end = performance.now() + seconds * 1000;
  const committed = new Map<number, number>();
  let wrong = 0;
  let queries = 0;
  const writing = await cluster.connect(cluster.writer, PATIENT);
  const write = async (): Promise<void> => {
    for (let id = 1; performance.now() < end; id++) {
      const [from, to] = [(id * 7919) % ACCOUNTS, (id * 104_729) % ACCOUNTS];
      await writing.query(
        `with a as (update account set n = n - 1 where id = ${from}), b as (insert into seen values (${id})) update account set n = n + 1 where id = ${to === from ? to + 1 : to}`,
      );
      committed.set(id, performance.now());
      await delay(COMMIT_EVERY_MS);
    }
  };
  const read = async (reader: Writer): Promise<number[]> => {
    const client = await cluster.connect(reader, PATIENT);
    const lags: number[] = [];
    for (let known = 0; performance.now() < end;) {
      const { rows } = await client.query<{ newest: number }>('select coalesce(max(id), 0)::int as newest from seen');
      const now = performance.now();
      for (; known < (rows[0]?.newest ?? 0); known++) {
        const at = committed.get(known + 1);
        // A reader may show it before the writer's client has heard of it.
        if (at !== undefined) lags.push(Math.max(0, now - at));
      }
      const sum = await client.query<{ sum: number }>('select sum(n)::int as sum from account');
      if (sum.rows[0]?.sum !== 0) wrong++;
      queries += 2;
      await delay(LOOK_EVERY_MS);
    }
    await client.end();
    return lags;
  };
  const [lags] = await Promise.all([Promise.all(readers.map(read)), write()]);
  await writing.end();
  return { lags, wrong, queries };
}

/** Looks seldom: fifteen that are asked all the time start later for it. */
async function answers(reader: Writer): Promise<void> {
  for (const end = performance.now() + 600_000; ;) {
    const status = await reader.status();
    if (status?.postgres.ready === true) break;
    if (performance.now() > end) throw new Error(`${reader.name} does not come up; its log ends:\n${reader.logTail()}`);
    await delay(250);
  }
  const client = await cluster.connect(reader, PATIENT);
  await client.query('select 1');
  await client.end();
}

try {
  await cluster.query(`create table seen (id int primary key); create table account (id int primary key, n int)`);
  await cluster.query(`insert into account select g, 0 from generate_series(0, ${ACCOUNTS}) g`);
  const readers = Array.from({ length: count }, (_, index) => cluster.addReader(ZONES[index % ZONES.length] ?? 'zone-a'));
  const startedAt = performance.now();
  for (const reader of readers) reader.start();
  const answered = await Promise.all(
    readers.map(async (reader) => {
      await answers(reader);
      return performance.now() - startedAt;
    }),
  );
  print(`${count} readers answer after ${answered.map((ms) => shown(ms)).join(', ')} ms; ${machineLoad()}`);
  const startCpu = readers.map(({ pid }) => treeCpuSeconds(pid ?? 0));
  const before = startCpu;
  const { lags, wrong, queries } = await readAll(readers);
  const cpu = readers.map(({ pid }, index) => treeCpuSeconds(pid ?? 0) - (before[index] ?? 0));
  const memory = readers.map(memoryOf);
  const all = lags.flat();
  if (wrong > 0) throw new Error(`${wrong} snapshots did not add up`);
  if (lags.some((each) => each.length === 0)) throw new Error('a reader showed nothing new');
  const most = (list: readonly number[]): string => `${shown(quantile(list, 0.5))} (at most ${shown(Math.max(...list))})`;
  print(
    markdownTable(
      [`${count} readers, all started at once`, 'median (at most)'],
      [
        ['a reader answers after, ms', most(answered)],
        ['CPU that it took until all answered, s', `${shown(quantile(startCpu, 0.5), 1)} (at most ${shown(Math.max(...startCpu), 1)})`],
        ['memory of its agent, MiB', most(memory.map(({ agent }) => agent))],
        ['memory of its PostgreSQL, MiB', most(memory.map(({ postgres }) => postgres))],
        ['memory of all readers, MiB', shown(memory.reduce((sum, { agent, postgres }) => sum + agent + postgres, 0))],
        ['from commit to seen, ms: p50 / p99 of all', `${shown(quantile(all, 0.5))} / ${shown(quantile(all, 0.99))}`],
        ['the same of the slowest reader', shown(Math.max(...lags.map((each) => quantile(each, 0.5))))],
        ['CPU of a reader that is read all the while, %', most(cpu.map((one) => (one * 100) / seconds))],
        ['queries a second on all together', shown(queries / seconds)],
      ],
    ),
  );
  print(machineLoad());
} finally {
  await cluster.destroy();
}
