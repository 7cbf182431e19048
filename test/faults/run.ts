import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../e2e/cluster-harness.ts';
import { inflict } from './inflict.ts';
import { connectTo, Ledger, type LedgerReport } from './ledger.ts';
import { describeFault, makeSchedule } from './schedule.ts';

export interface FaultRunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  readonly print: (line: string) => void;
}

const RECOVERY_MS = 60_000;

/**
 * A ledger of `clients` under the faults of `seed` for about `seconds`; then calm, and the ledger must go on, and the
 * books must balance, also after the writer has been killed once more and everything was read back from storage.
 */
export async function runFaults(options: FaultRunOptions): Promise<LedgerReport> {
  const { print } = options;
  const cluster = await Cluster.start();
  const started = performance.now();
  const at = (): string => `${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s`;
  let kept = false;
  try {
    const { host, port, user, password, database } = cluster.connection();
    const ledger = new Ledger(() =>
      connectTo({
        host: host ?? '',
        port: port ?? 5432,
        user: user ?? '',
        password: typeof password === 'string' ? password : '',
        database: database ?? '',
      }),
    );
    await ledger.create();
    ledger.start(options.clients);
    await ledger.progress(10, RECOVERY_MS);
    for (const { afterMs, fault } of makeSchedule(options.seed, options.seconds * 1000)) {
      await delay(afterMs);
      print(`${at()}  ${String(ledger.acknowledged).padStart(7)} commits  ${describeFault(fault)}`);
      await inflict(cluster, fault);
    }
    await ledger.progress(20, RECOVERY_MS);
    print(`${at()}  ${String(ledger.acknowledged).padStart(7)} commits  calm; the ledger goes on`);
    await ledger.stop();
    await cluster.writer.kill();
    cluster.writer.start();
    await cluster.writerReady(RECOVERY_MS);
    const report = await ledger.verify();
    kept = report.violations.length > 0;
    return report;
  } catch (error) {
    kept = true;
    throw error;
  } finally {
    if (kept) print(`data and logs are kept in ${cluster.directory}`);
    await cluster.destroy({ keep: kept });
  }
}
