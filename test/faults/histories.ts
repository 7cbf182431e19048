/**
 * `npm run faults:history -- --seeds 5 --first 1 --seconds 120`: a whole system with two readers, clients at every endpoint, and faults by seed. What
 * the clients saw must be what docs/consistency.md promises. Prints one line a seed and a table; a history with an anomaly is kept, and
 * `npm run faults:history -- --check FILE` checks it again. As root it runs in namespaces of its own, where pods can be cut off and clocks jump;
 * elsewhere those faults are left out, and it says so.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { markdownTable, print, shown } from '../bench/table.ts';
import type { Anomaly } from '../history/anomaly.ts';
import { anomaliesOf } from '../history/check.ts';
import { historyText, parseHistory, type History } from '../history/history.ts';
import { faultsOf, HISTORY_FAULTS, plannedFaults, type HistoryFault } from './history-faults.ts';
import { recordHistory } from './history-run.ts';
import { OwnMachine, runInOwnMachine, whyNoOwnMachine } from './own-machine.ts';
import { StartedSystem } from './started-system.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    first: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '120' },
    faults: { type: 'string' },
    keep: { type: 'boolean', default: false },
    check: { type: 'string' },
    machine: { type: 'string' },
  },
});

const SMALL_CACHES = fileURLToPath(new URL('small-caches.yaml', import.meta.url));
const SHOWN_MAX = 10;

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`--${flag} must be a whole number from 1 on, not '${text}'`);
  return value;
}

function chosenFaults(text: string | undefined): HistoryFault[] | undefined {
  return text?.split(',').map((name) => {
    if (!Object.hasOwn(HISTORY_FAULTS, name))
      throw new TypeError(`--faults: '${name}' is none of ${Object.keys(HISTORY_FAULTS).join(', ')}`);
    return name as HistoryFault;
  });
}

function tell(anomalies: readonly Anomaly[]): void {
  for (const { kind, says } of anomalies.slice(0, SHOWN_MAX)) print(`ANOMALY ${kind}: ${says}`);
  if (anomalies.length > SHOWN_MAX) print(`and ${anomalies.length - SHOWN_MAX} more`);
  if (anomalies.length > 0) process.exitCode = 1;
}

/** Numbers of a history: what the table has of it. */
function countsOf({ faults, transactions }: History): string[] {
  const count = (holds: (one: History['transactions'][number]) => boolean): string => shown(transactions.filter(holds).length);
  return [
    String(faults.length),
    count(({ outcome, mode }) => outcome === 'ok' && (mode === 'serializable' || mode === 'committed')),
    count(({ outcome }) => outcome === 'failed'),
    count(({ outcome }) => outcome === 'unknown'),
    count(({ mode }) => mode === 'current'),
    count(({ mode }) => mode === 'past'),
    count(({ mode, operations }) => mode === 'past' && operations.some(({ kind }) => kind === 'checked')),
  ];
}

const HEAD = [
  'seed',
  'faults',
  'commits',
  'failed',
  'unknown',
  'snapshots on the writer',
  'on readers',
  'amchecks on readers',
  'anomalies',
];

async function record(machine: OwnMachine | undefined): Promise<void> {
  const only = chosenFaults(values.faults);
  const [first, seeds, seconds] = [
    wholeNumber('first', values.first),
    wholeNumber('seeds', values.seeds),
    wholeNumber('seconds', values.seconds),
  ];
  const folder = mkdtempSync(path.join(tmpdir(), 'histories-'));
  const rows: string[][] = [];
  const system = await StartedSystem.start(SMALL_CACHES);
  try {
    for (let seed = first; seed < first + seeds; seed++) {
      const planned = plannedFaults(seed, seconds, faultsOf(machine));
      const faults =
        only === undefined ? planned : planned.map((one, index) => ({ ...one, fault: only[index % only.length] ?? one.fault }));
      const history = await recordHistory(system, { seed, seconds, hasVault: true, faults, machine });
      const anomalies = anomaliesOf(history);
      const row = [String(seed), ...countsOf(history), String(anomalies.length)];
      rows.push(row);
      print(row.map((cell, index) => `${HEAD[index] ?? ''} ${cell}`).join(', '));
      print(`  ${history.faults.map(({ fault, atMs }) => `${(atMs / 1000).toFixed(1)} s ${fault}`).join(', ')}`);
      if (anomalies.length > 0 || values.keep) {
        const file = path.join(folder, `seed-${seed}.jsonl`);
        writeFileSync(file, historyText(history));
        print(`  history: ${file}`);
      }
      tell(anomalies);
    }
  } finally {
    if (rows.length > 0) print(`\n${markdownTable(HEAD, rows)}`);
    await system.stop();
  }
}

if (values.check === undefined && values.machine !== undefined) await record(new OwnMachine(values.machine));
else if (values.check === undefined) {
  const reason = whyNoOwnMachine();
  if (reason === undefined) process.exitCode = runInOwnMachine(fileURLToPath(import.meta.url), process.argv.slice(2));
  else {
    print(`pods are not cut off and clocks do not jump: ${reason}`);
    await record(undefined);
  }
} else {
  const history = parseHistory(readFileSync(values.check, 'utf8'));
  const anomalies = anomaliesOf(history);
  print(`${shown(history.transactions.length)} transactions, ${history.faults.length} faults, ${anomalies.length} anomalies`);
  tell(anomalies);
}
