/**
 * `npm run faults:pgbench -- --seed 1 --seconds 60 --scale 10 --clients 8`: pgbench's TPC-B against the Service demo-rw
 * of a cluster that `npm start` made, while its processes are killed (-9), stopped (SIGSTOP) and its zones fail, all at
 * random but seeded. The operator and the control plane heal; nobody helps. In the end pgbench's four sums must be
 * equal, and history must hold at least every transaction that pgbench was told had committed. Needs pgbench on the
 * PATH.
 */
import { execFile, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { SeededRandom } from './random.ts';
import { signal, StartedSystem } from './started-system.ts';

const ZONES = ['zone-a', 'zone-b', 'zone-c'] as const;
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    scale: { type: 'string', default: '10' },
    clients: { type: 'string', default: '8' },
  },
});
const random = new SeededRandom(Number(values.seed));
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function anyOf(pids: readonly number[]): number | undefined {
  return pids.length === 0 ? undefined : random.pick(pids);
}

async function fault(system: StartedSystem): Promise<string> {
  const downMs = random.integer(200, 3000);
  const kind = random.pick([
    'kill-daemon',
    'kill-daemon',
    'kill-writer',
    'kill-postgres',
    'pause-daemon',
    'pause-daemon',
    'fail-zone',
  ] as const);
  const daemon = anyOf(system.processes('storage-daemon/src/main.ts'));
  switch (kind) {
    case 'kill-daemon':
      signal(daemon, 'SIGKILL');
      return 'kill -9 a storage daemon';
    case 'kill-writer':
      signal(anyOf(system.processes('compute-node/src/main.ts')), 'SIGKILL');
      return 'kill -9 the compute agent';
    case 'kill-postgres':
      // Only the postmaster still shows its arguments; the others have set their titles.
      signal(system.processes('/pgdata')[0], 'SIGKILL');
      return 'kill -9 the postmaster';
    case 'pause-daemon':
      signal(daemon, 'SIGSTOP');
      await delay(downMs);
      signal(daemon, 'SIGCONT');
      return `SIGSTOP a storage daemon for ${downMs} ms`;
    case 'fail-zone': {
      const name = random.pick(ZONES);
      system.run('zone', 'fail', name);
      await delay(downMs);
      system.run('zone', 'restore', name);
      return `fail ${name} for ${downMs} ms`;
    }
  }
}

/** pgbench gives up on a lost connection: run it again until time is up, and add up what it says has committed. */
async function load(uri: string, until: number): Promise<{ committed: number; runs: number }> {
  let committed = 0;
  let runs = 0;
  while (performance.now() < until) {
    const seconds = Math.max(1, Math.ceil((until - performance.now()) / 1000));
    const output = await new Promise<string>((resolve) => {
      execFile('pgbench', ['-n', '-c', values.clients, '-j', '2', '-T', String(seconds), uri], { timeout: 300_000 }, (_error, stdout) =>
        resolve(stdout),
      );
    });
    const processed = Number(/^number of transactions actually processed: (\d+)/m.exec(output)?.[1] ?? 0);
    committed += processed;
    if (processed > 0) runs++;
    else await delay(100);
  }
  return { committed, runs };
}

async function sums(uri: string): Promise<{ equal: boolean; history: number; text: string }> {
  const client = new pg.Client({ connectionString: uri, connectionTimeoutMillis: 10_000 });
  await client.connect();
  const { rows } = await client.query<Record<'a' | 't' | 'b' | 'h' | 'n', string>>(`SELECT (SELECT sum(abalance) FROM pgbench_accounts) a,
    (SELECT sum(tbalance) FROM pgbench_tellers) t, (SELECT sum(bbalance) FROM pgbench_branches) b,
    (SELECT coalesce(sum(delta), 0) FROM pgbench_history) h, (SELECT count(*) FROM pgbench_history) n`);
  await client.end();
  const row = rows[0];
  if (row === undefined) throw new Error('no sums');
  return { equal: new Set([row.a, row.t, row.b, row.h]).size === 1, history: Number(row.n), text: `${row.a} ${row.t} ${row.b} ${row.h}` };
}

async function eventually<T>(attempt: () => Promise<T>, withinMs: number): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) throw error;
      await delay(200);
    }
  }
}

const system = await StartedSystem.start();
try {
  spawnSync('pgbench', ['-i', '-q', '-s', values.scale, system.uri], { stdio: 'inherit' });
  const started = performance.now();
  const until = started + Number(values.seconds) * 1000;
  const working = load(system.uri, until);
  while (performance.now() < until - 3000) {
    await delay(random.integer(500, 4000));
    const at = ((performance.now() - started) / 1000).toFixed(1);
    print(`${at.padStart(6)} s  ${await fault(system)}`);
  }
  const { committed, runs } = await working;
  // Read back from storage by a writer that starts with nothing.
  for (const pid of system.processes('compute-node/src/main.ts')) signal(pid, 'SIGKILL');
  await delay(500);
  const result = await eventually(() => sums(system.uri), 60_000);
  print(`${committed} transactions acknowledged in ${runs} runs of pgbench; ${result.history} in history; sums ${result.text}`);
  const good = result.equal && result.history >= committed;
  print(good ? 'the ledger adds up; every acknowledged commit is there' : 'VIOLATION');
  process.exitCode = good ? 0 : 1;
} finally {
  await system.stop();
}
