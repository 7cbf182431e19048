/**
 * `npm run faults:failover -- --rounds 10 --readers 2 --clients 4 --faults postgres,agent,pod,hang,zone --without nothing,operator,control-plane`:
 * a whole system as `npm start` makes it, under a ledger's load; its writer is taken away again and again. Prints, for each fault,
 * the time from it to the first commit of a client that connects anew (median and worst), and how soon there are nine tenths of the commits of
 * before. In the end the ledger must add up and hold every acknowledged commit.
 *
 * Clients come by NAME-rw while operator and control plane run; otherwise by the instances' own addresses, as libpq does with several hosts and
 * target_session_attrs=read-write.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { markdownTable, print, quantile, shown } from '../bench/table.ts';
import { CommitProbe, CommitTimes } from './commit-probe.ts';
import {
  FAILOVER_FAULTS,
  heal,
  inflictOnWriter,
  instancesOf,
  isWhole,
  stopParts,
  WITHOUT,
  type FailoverFault,
  type Without,
} from './failover-faults.ts';
import { connectTo, Ledger } from './ledger.ts';
import { printVerdict } from './print-verdict.ts';
import { StartedSystem } from './started-system.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    readers: { type: 'string', default: '2' },
    clients: { type: 'string', default: '4' },
    faults: { type: 'string', default: Object.keys(FAILOVER_FAULTS).join(',') },
    without: { type: 'string', default: Object.keys(WITHOUT).join(',') },
  },
});

/** A transaction takes milliseconds: one that takes longer is on a connection to nobody. */
const QUERY_MS = 2000;
const FIRST_COMMIT_MS = 60_000;
/** Commits of so long before the fault, and after it, are counted. */
const BEFORE_MS = 3000;
const AFTER_MS = 12_000;
const BACK = 0.9;

function namesOf<Name extends string>(flag: string, text: string, known: Readonly<Record<Name, string>>): Name[] {
  return text.split(',').map((name) => {
    if (!Object.hasOwn(known, name)) throw new TypeError(`--${flag}: '${name}' is none of ${Object.keys(known).join(', ')}`);
    return name as Name;
  });
}

const faults = namesOf('faults', values.faults, FAILOVER_FAULTS);
const withouts = namesOf('without', values.without, WITHOUT);
const instances = Number(values.readers) + 1;
if (!(instances >= 2 && instances <= 16)) throw new TypeError(`--readers must be 1 to 15, not '${values.readers}'`);
const rounds = Number(values.rounds);

const system = await StartedSystem.start();
const { service } = system;
/** Undefined: by the Service. */
let hosts: readonly string[] | undefined;

async function openWriter(): Promise<pg.Client> {
  if (hosts === undefined) return connectTo(service, QUERY_MS);
  const { promise, resolve, reject } = Promise.withResolvers<pg.Client>();
  let isFound = false;
  const asked = hosts.map(async (host) => {
    try {
      const client = await connectTo({ ...service, host, port: 5432 }, QUERY_MS);
      const { rows } = await client.query<{ reads: boolean }>('SELECT pg_is_in_recovery() AS reads');
      if (rows[0]?.reads === false && !isFound) {
        isFound = true;
        resolve(client);
      } else void client.end().catch(() => undefined);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  });
  void Promise.all(asked).then(() => reject(new Error('no instance writes')), reject);
  return promise;
}

interface Measured {
  readonly firstCommitMs: number | undefined;
  /** Seconds until there are nine tenths of the commits of before; undefined: not in the time that was looked at. */
  readonly backS: number | undefined;
}

const times = new CommitTimes();
const ledger = new Ledger(openWriter, (atMs) => times.note(atMs));
const probe = new CommitProbe(openWriter);

async function measure(fault: FailoverFault, without: Without): Promise<Measured> {
  const writer = await isWhole(system, instances);
  hosts = without === 'nothing' ? undefined : (await instancesOf(system)).map(({ host }) => host);
  await ledger.progress(50, FIRST_COMMIT_MS);
  await delay(BEFORE_MS);
  stopParts(system, without, 'SIGSTOP');
  const brokenAt = inflictOnWriter(system, fault, writer, without);
  const before = times.rate(brokenAt - BEFORE_MS, BEFORE_MS);
  const firstCommitMs = await probe.firstCommit(brokenAt, FIRST_COMMIT_MS);
  await delay(Math.max(0, AFTER_MS - (performance.now() - brokenAt)));
  const rates = Array.from({ length: AFTER_MS / 1000 }, (_, second) => times.rate(brokenAt + second * 1000, 1000));
  const back = rates.findIndex((rate, second) => second * 1000 > (firstCommitMs ?? Infinity) - 1000 && rate >= BACK * before);
  print(
    `  ${without}, ${fault}: ${firstCommitMs === undefined ? 'no commit' : `${shown(firstCommitMs)} ms`}; commits a second before ${shown(before)}, after ${rates.map((rate) => shown(rate)).join(' ')}`,
  );
  await heal(system, fault, writer, without, instances);
  hosts = undefined;
  return { firstCommitMs, backS: back < 0 ? undefined : back + 1 };
}

function row(without: Without, fault: FailoverFault, measured: readonly Measured[]): string[] {
  const first = measured.map(({ firstCommitMs }) => firstCommitMs ?? Infinity);
  const back = measured.map(({ backS }) => backS ?? Infinity);
  const seconds = (value: number): string => (value === Infinity ? `more than ${AFTER_MS / 1000}` : shown(value));
  return [
    WITHOUT[without],
    FAILOVER_FAULTS[fault],
    String(measured.length),
    `${shown(quantile(first, 0.5))} ms`,
    `${shown(Math.max(...first))} ms`,
    `${seconds(quantile(back, 0.5))} s`,
    `${seconds(Math.max(...back))} s`,
  ];
}

try {
  system.run('kubectl', 'scale', 'auroracluster', 'demo', `--replicas=${instances}`);
  await isWhole(system, instances);
  await ledger.create();
  const client = await openWriter();
  await client.query('CREATE TABLE probe (at timestamptz DEFAULT now())');
  await client.end();
  ledger.start(Number(values.clients));
  const rows: string[][] = [];
  for (const without of withouts)
    for (const fault of faults) {
      const measured: Measured[] = [];
      for (let round = 0; round < rounds; round++) measured.push(await measure(fault, without));
      rows.push(row(without, fault, measured));
    }
  await ledger.stop();
  const report = await ledger.verify();
  print('');
  print(markdownTable(['', 'fault', 'times', 'first commit, median', 'worst', '90 % of the commits of before, median', 'worst'], rows));
  print('');
  if (!printVerdict(report)) process.exitCode = 1;
} finally {
  await system.stop();
}
