/** What TLS costs clients: the same workload without and with it, in turns on one system, so that whatever else the machine does burdens both. */
import { runFor, type SslMode, type Workload } from './pgbench.ts';
import type { BenchSystem } from './systems.ts';
import { quantile, shown } from './table.ts';

const MODES: readonly SslMode[] = ['disable', 'require'];

export const CLIENT_TLS_HEAD = ['clients', 'sslmode', 'TPS in each round', 'median', 'beside disable', "PostgreSQL's CPU ms a transaction"];

export interface ClientTlsRuns {
  readonly workload: Workload;
  readonly clients: number;
  readonly seconds: number;
  readonly rounds: number;
}

/** Rows of {@link CLIENT_TLS_HEAD}. */
export async function clientTlsRows(system: BenchSystem, { workload, clients, seconds, rounds }: ClientTlsRuns): Promise<string[][]> {
  const measured = MODES.map((mode) => ({ mode, tps: [] as number[], cpuMs: [] as number[] }));
  const cpu = async (): Promise<number> => (await system.cpu()).get('PostgreSQL') ?? Number.NaN;
  for (let round = 0; round < rounds; round++)
    for (const { mode, tps, cpuMs } of measured) {
      const before = await cpu();
      const run = await runFor({ ...system.target, sslmode: mode }, workload, clients, seconds);
      tps.push(run.tps);
      cpuMs.push((1000 * ((await cpu()) - before)) / run.transactions);
    }
  const median = (figures: readonly number[]): number => quantile(figures, 0.5);
  const plain = median(measured[0]?.tps ?? []);
  return measured.map(({ mode, tps, cpuMs }) => [
    String(clients),
    mode,
    tps.map((each) => shown(each)).join(' · '),
    shown(median(tps)),
    (median(tps) / plain).toFixed(2),
    shown(median(cpuMs), 3),
  ]);
}
