/**
 * What pg_stat_statements costs: CPU of a whole PostgreSQL for a transaction of pgbench, with and without it. Two servers of the same settings
 * but that one, loaded by one client in turns, so that whatever else the machine does befalls both. Figures are medians of all rounds:
 *
 *   node test/bench/statement-statistics.ts [ROUNDS] [SECONDS]
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { requirePgbench } from './pgbench.ts';
import { machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const run = promisify(execFile);
const [ROUNDS = 20, SECONDS = 3] = process.argv.slice(2).map(Number);
const WORKLOADS = {
  'TPC-B, simple protocol': [],
  'TPC-B, prepared': ['-M', 'prepared'],
  'select one row, simple protocol': ['-S'],
  'select one row, prepared': ['-S', '-M', 'prepared'],
} as const;
const SERVERS = ['without', 'with'] as const;

/** Microseconds of CPU for a transaction, PostgreSQL's processes alone. */
async function cpuPerTransaction({ pid, socketDir, port }: TestPostgres, flags: readonly string[]): Promise<number> {
  const before = treeCpuSeconds(pid);
  const where = ['-h', socketDir, '-p', String(port), '-U', 'postgres'];
  const { stdout } = await run('pgbench', [...where, '-n', '-c', '1', '-T', String(SECONDS), ...flags, 'postgres']);
  const transactions = Number(/actually processed: (\d+)/.exec(stdout)?.[1]);
  return ((treeCpuSeconds(pid) - before) / transactions) * 1e6;
}

print(`${await requirePgbench()}; ${ROUNDS} rounds of ${SECONDS} s each; ${machineLoad()}`);
const settings = { synchronous_commit: false, autovacuum: false, shared_buffers: '256MB' };
const servers = new Map<string, TestPostgres>();
try {
  for (const name of SERVERS) {
    const server = await startPostgres({
      settings: { ...settings, ...(name === 'with' ? { shared_preload_libraries: 'pg_stat_statements' } : {}) },
    });
    servers.set(name, server);
    await run('pgbench', ['-h', server.socketDir, '-p', String(server.port), '-U', 'postgres', '-i', '-q', '-s', '10', 'postgres']);
  }
  const rows: string[][] = [];
  for (const [workload, flags] of Object.entries(WORKLOADS)) {
    const figures = new Map<string, number[]>(SERVERS.map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const name of round % 2 === 0 ? SERVERS : SERVERS.toReversed()) {
        const server = servers.get(name);
        if (server !== undefined) figures.get(name)?.push(await cpuPerTransaction(server, flags));
      }
    const [without = 0, withIt = 0] = SERVERS.map((name) => quantile(figures.get(name) ?? [], 0.5));
    const ratios = (figures.get('with') ?? []).map((value, round) => value / (figures.get('without')?.[round] ?? Number.NaN) - 1);
    const percent = (part: number): string => `${shown(quantile(ratios, part) * 100, 1)} %`;
    rows.push([workload, shown(without, 1), shown(withIt, 1), percent(0.5), `${percent(0.25)} to ${percent(0.75)}`]);
    print(rows.at(-1)?.join(' | ') ?? '');
  }
  print(markdownTable(['workload', 'µs of CPU without', 'with', 'more', 'middle half of rounds'], rows));
  print(machineLoad());
} finally {
  for (const server of servers.values()) await server.remove();
}
