/**
 * `npm run faults:switchover -- --rounds 10 --clients 8 [--by stop]`: a whole system as `npm start` makes it, with one reader, under a ledger's load by
 * NAME-rw; its writer's place is given to the reader again and again. Prints, for each time, how many transactions that had begun failed, how
 * many ended because the writer waited for them, and how long nobody committed. In the end the ledger must add up and hold every
 * acknowledged commit. `--by stop` deletes the writer's pod in order instead, as `kubectl drain` does.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { markdownTable, print, quantile, shown } from '../bench/table.ts';
import { instancesOf, isWhole, type Instance } from './failover-faults.ts';
import { connectTo, Ledger } from './ledger.ts';
import { printVerdict } from './print-verdict.ts';
import { AsOperator } from './as-operator.ts';
import { StartedSystem } from './started-system.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '8' },
    by: { type: 'string', default: 'promote' },
  },
});
if (values.by !== 'promote' && values.by !== 'stop') throw new TypeError(`--by must be promote or stop, not '${values.by}'`);

const INSTANCES = 2;
const QUERY_MS = 20_000;
const PROGRESS_MS = 60_000;
/** Of commits, before a switchover. */
const LOAD_MS = 2000;

interface Switchover {
  readonly cutShort: number;
  /** As the old writer counted; undefined when it did not say. */
  readonly transactions: { readonly finished: number; readonly cutOff: number } | undefined;
  readonly drainedMs: number | undefined;
  readonly gapMs: number;
}

interface AgentReport {
  readonly role: string;
  readonly failover?: { readonly transactions?: Switchover['transactions']; readonly phases: { readonly drainedMs?: number } };
}

const system = await StartedSystem.start();
const { service } = system;
let operator: AsOperator;
let lastCommitAt = 0;
let gapMs = 0;
const ledger = new Ledger(
  () => connectTo(service, QUERY_MS),
  (atMs) => {
    gapMs = Math.max(gapMs, atMs - lastCommitAt);
    lastCommitAt = atMs;
  },
);

async function reportOf({ host }: Instance): Promise<AgentReport> {
  return (await (await fetch(`http://${host}:7003/status`)).json()) as AgentReport;
}

async function switchOver(): Promise<Switchover> {
  const writer = await isWhole(system, INSTANCES);
  const next = (await instancesOf(system)).find(({ name }) => name !== writer.name);
  if (next === undefined) throw new Error('there is no reader');
  await ledger.progress(50, PROGRESS_MS);
  await delay(LOAD_MS);
  const before = ledger.cutShort;
  gapMs = 0;
  if (values.by === 'stop') await system.runAside('kubectl', 'delete', 'pod', writer.name, '--wait=false');
  else {
    const answer = await operator.post(next.host, '/promote');
    if (answer.code !== 202) throw new Error(answer.body);
  }
  // No command is run meanwhile: the clients of the ledger, which are this process, would stand still for it.
  while ((await reportOf(next)).role !== 'writer') await delay(50);
  await ledger.progress(50, PROGRESS_MS);
  const { failover } = await reportOf(next);
  const measured = {
    cutShort: ledger.cutShort - before,
    // One that was stopped has counted its own, and told its log.
    transactions: values.by === 'stop' ? undefined : failover?.transactions,
    drainedMs: failover?.phases.drainedMs,
    gapMs,
  };
  print(`  to ${next.name}: ${JSON.stringify(measured)}`);
  return measured;
}

try {
  system.run('kubectl', 'scale', 'auroracluster', 'demo', `--replicas=${INSTANCES}`);
  await isWhole(system, INSTANCES);
  await ledger.create();
  operator = new AsOperator(system);
  ledger.start(Number(values.clients));
  const measured: Switchover[] = [];
  for (let round = 0; round < Number(values.rounds); round++) measured.push(await switchOver());
  await ledger.stop();
  const report = await ledger.verify();
  const sum = (of: (one: Switchover) => number | undefined): string =>
    measured.some((one) => of(one) === undefined) ? '' : String(measured.reduce((total, one) => total + (of(one) ?? 0), 0));
  const gaps = measured.map((one) => one.gapMs);
  print('');
  print(
    markdownTable(
      ['switchovers', 'clients', 'failed after they had begun', 'waited for', 'cut off', 'no commit for, median', 'worst'],
      [
        [
          String(measured.length),
          values.clients,
          sum(({ cutShort }) => cutShort),
          sum(({ transactions }) => transactions?.finished),
          sum(({ transactions }) => transactions?.cutOff),
          `${shown(quantile(gaps, 0.5))} ms`,
          `${shown(Math.max(...gaps))} ms`,
        ],
      ],
    ),
  );
  print('');
  if (!printVerdict(report)) process.exitCode = 1;
} finally {
  await system.stop();
}
