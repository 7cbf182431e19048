/**
 * `node test/bench/commit-tail.ts --seconds 20 --clients 4 --only ours,quorum`: how long commits take at worst. Clients
 * that insert a row in a transaction each, one after another, while all copies are well, while one is slow (stopped for
 * `--pulse` ms in every second), while one merges redo into pages (a standby: makes a restartpoint), and while one
 * restarts after a kill. Every commit is timed. `--checkpoint-mib` makes our daemons merge more often than they would;
 * `--node-options` gives our programs more of Node's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { daemonMetrics } from './cluster-usage.ts';
import { machineLoad, tree } from './process-usage.ts';
import { chosenSystems, type BenchSystem } from './systems.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    clients: { type: 'string', default: '4' },
    only: { type: 'string', default: 'ours,quorum' },
    pulse: { type: 'string', default: '300' },
    'checkpoint-mib': { type: 'string', default: '4' },
    'node-options': { type: 'string' },
  },
});
const seconds = Number(values.seconds);
/** The copy that things happen to. */
const VICTIM = 1;
const RESTART_EVERY_MS = 5000;
const DOWN_MS = 1000;

/** What is done to one copy, over and over; gives what undoes it. */
interface Trouble {
  readonly name: string;
  /** Does it once; `undefined` where the system has no such thing. */
  readonly once: (system: BenchSystem) => Promise<void>;
  readonly everyMs: number;
}

function signal(system: BenchSystem, name: NodeJS.Signals): void {
  const root = system.cluster?.daemons[VICTIM]?.pid ?? system.standbys?.[VICTIM]?.pid;
  if (root === undefined) return;
  for (const pid of tree(root)) process.kill(pid, name);
}

const TROUBLES: readonly Trouble[] = [
  { name: 'all well', everyMs: Infinity, once: () => Promise.resolve() },
  {
    name: 'one slow',
    everyMs: 1000,
    async once(system) {
      signal(system, 'SIGSTOP');
      await delay(Number(values.pulse));
      signal(system, 'SIGCONT');
    },
  },
  {
    name: 'one merging',
    everyMs: 2000,
    async once({ standbys, cluster }) {
      // Ours merge by themselves, each at places of its own in the redo.
      if (cluster === undefined) await (await standbys?.[VICTIM]?.connect())?.query('checkpoint');
    },
  },
  {
    name: 'one restarts',
    everyMs: RESTART_EVERY_MS,
    async once({ cluster, standbys }) {
      const daemon = cluster?.daemons[VICTIM];
      await daemon?.kill();
      await standbys?.[VICTIM]?.stop('immediate');
      await delay(DOWN_MS);
      daemon?.start();
      await standbys?.[VICTIM]?.restart();
    },
  },
];

/** Commits one row after another until told to stop; gives the milliseconds that each took. */
async function commits(system: BenchSystem, isOver: () => boolean): Promise<number[]> {
  const { host, port, user, password, database } = system.target;
  const client = new Client({ host, port, user, password, database });
  await client.connect();
  try {
    const times: number[] = [];
    while (!isOver()) {
      const at = performance.now();
      await client.query({ name: 'commit', text: 'insert into committed (filler) values ($1)', values: ['x'.repeat(200)] });
      times.push(performance.now() - at);
    }
    return times;
  } finally {
    await client.end();
  }
}

/** Of daemons that run; one that was just started is waited for. */
async function checkpointsOf({ cluster }: BenchSystem): Promise<number> {
  if (cluster === undefined) return 0;
  let sum = 0;
  await cluster.until(
    'all daemons answer',
    async () => {
      const found = await daemonMetrics(cluster).catch(() => undefined);
      sum = (found ?? []).reduce((total, each) => total + (each.get('aurora_storage_checkpoints') ?? 0), 0);
      return found?.length === cluster.daemons.length;
    },
    60_000,
  );
  return sum;
}

async function measure(system: BenchSystem, trouble: Trouble): Promise<string[]> {
  let isOver = false;
  const before = await checkpointsOf(system);
  const running = Promise.all(Array.from({ length: Number(values.clients) }, () => commits(system, () => isOver)));
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const at = performance.now();
    await trouble.once(system);
    await delay(Math.max(0, Math.min(trouble.everyMs - (performance.now() - at), end - performance.now())));
  }
  isOver = true;
  const times = (await running).flat();
  // A daemon that was restarted counts anew.
  const merged = Math.max(0, (await checkpointsOf(system)) - before);
  return [
    system.target.name,
    trouble.name,
    shown(times.length / seconds),
    ...[0.5, 0.99, 0.999, 1].map((part) => shown(quantile(times, part), 2)),
    `${times.filter((ms) => ms > 50).length}`,
    system.cluster === undefined ? '' : `${merged}`,
  ];
}

const rows: string[][] = [];
print(`${seconds} s each, ${values.clients} clients; at the start ${machineLoad()}\n`);
for (const start of chosenSystems(values.only, {
  env: { AURORA_CHECKPOINT_MIB: values['checkpoint-mib'] },
  nodeOptions: values['node-options'],
})) {
  const system = await start();
  try {
    const { host, port, user, password, database } = system.target;
    const client = new Client({ host, port, user, password, database });
    await client.connect();
    await client.query('create table committed (id bigint generated always as identity primary key, filler text)');
    await client.end();
    await measure(system, { name: 'warm-up', everyMs: Infinity, once: () => delay(1) });
    for (const trouble of TROUBLES) {
      const row = await measure(system, trouble);
      rows.push(row);
      print(row.join(' · '));
    }
  } finally {
    await system.stop();
  }
}
print(`\n${machineLoad()}\n`);
print(markdownTable(['system', 'state', 'commits/s', 'p50, ms', 'p99', 'p99.9', 'longest', 'over 50 ms', 'checkpoints'], rows));
