/**
 * `npm run bench -- --seconds 20 --clients 1,8,32 --scale 10`: pgbench's TPC-B through us, through stock PostgreSQL,
 * and through stock PostgreSQL with quorum standbys, in one run. Compare the ratios; absolute figures belong to the
 * machine.
 *
 * Each system is loaded for `--warmup` seconds first, unmeasured, and our daemons have stored the pages of the redo of
 * filling the tables before that. Stock PostgreSQL gets no checkpoint in between, so that it writes next to no page
 * images in the run: its best case. `--cpu` adds a table of the CPU that each part used per transaction (milliseconds,
 * from /proc/PID/stat), which does not depend on how busy the machine is as times do; each window of ours
 * says for how long daemons were merging in it, work of the window and of what came before; `--stages` says where the
 * time of our commits goes, from the programs' own histograms; `--only ours,alone,quorum` leaves systems out;
 * `--node-options` gives our programs more of Node's. `--zone-delay-ms 1` puts so many milliseconds in each direction
 * between the zones, for us and for the standbys. `--workload select` runs pgbench's lookups by primary key instead.
 * `--copies Full,Mixed` runs ours once with each; `--usage` says what a full segment and a tail write and keep (pages
 * of the run's redo are stored before the last look), and what the machine's disk was given to write meanwhile. `--client-tls --rounds 3` runs
 * ours alone, without and with TLS for pgbench's connections, in turns; with `--workload connect` each lookup has a new one.
 */
import { parseArgs } from 'node:util';
import { CLIENT_TLS_HEAD, clientTlsRows } from './client-tls.ts';
import { STAGE_HEAD, STAGE_PARAMETERS, stageRows } from './commit-stages.ts';
import { WORKLOADS, initialise, requirePgbench, runFor, type Workload } from './pgbench.ts';
import { machineLoad } from './process-usage.ts';
import { SegmentUsage, USAGE_HEAD } from './segment-usage.ts';
import { chosenSystems, copiesNamed, type CpuReading } from './systems.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    clients: { type: 'string', default: '1,8,32' },
    scale: { type: 'string', default: '10' },
    // V8 compiles our programs while they run: cold, a batch costs a daemon twice as much.
    warmup: { type: 'string', default: '15' },
    only: { type: 'string' },
    cpu: { type: 'boolean', default: false },
    workload: { type: 'string', default: 'tpcb' },
    'zone-delay-ms': { type: 'string', default: '0' },
    stages: { type: 'boolean', default: false },
    copies: { type: 'string', default: 'Full' },
    usage: { type: 'boolean', default: false },
    'node-options': { type: 'string' },
    // Between our programs: what TLS costs is the difference.
    'plain-text': { type: 'boolean', default: false },
    // Redo and pages on the disks of storage: what encryption at rest costs is the difference.
    encrypted: { type: 'boolean', default: false },
    // Between pgbench and PostgreSQL.
    'client-tls': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
  },
});
const seconds = Number(values.seconds);
const scale = Number(values.scale);
const clientCounts = values.clients.split(',').map(Number);
const delayMs = Number(values['zone-delay-ms']);
const workload = workloadNamed(values.workload);

function workloadNamed(name: string): Workload {
  if (name in WORKLOADS) return name as Workload;
  throw new RangeError(`--workload takes ${Object.keys(WORKLOADS).join(', ')}, not ${name}`);
}

const systems = chosenSystems(values['client-tls'] ? 'ours' : values.only, {
  clientTls: values['client-tls'],
  delayMs,
  copies: copiesNamed(values.copies),
  nodeOptions: values['node-options'],
  plainText: values['plain-text'],
  encrypted: values.encrypted,
  ...(values.stages ? { settings: STAGE_PARAMETERS } : {}),
});

print(await requirePgbench());
print(
  `${workload}, scale ${scale}, ${seconds} s each, ${clientCounts.join(' / ')} clients, ${delayMs} ms between zones; at the start ${machineLoad()}\n`,
);
const rows: string[][] = [];
const cpuRows: string[][] = [];
const stageTables: string[] = [];
const usageRows: string[][] = [];
const tlsRows: string[][] = [];

/** One row for each part: CPU milliseconds a transaction at each number of clients. */
function addCpuRows(name: string, readings: readonly { before: CpuReading; after: CpuReading; transactions: number }[]): void {
  for (const part of readings[0]?.before.keys() ?? []) {
    const figures = readings.map(({ before, after, transactions }) =>
      shown((1000 * ((after.get(part) ?? 0) - (before.get(part) ?? 0))) / transactions, 3),
    );
    cpuRows.push([name, part, ...figures]);
  }
}

for (const start of systems) {
  const system = await start();
  const { target } = system;
  const usage = values.usage && system.cluster !== undefined ? new SegmentUsage(system.cluster) : undefined;
  try {
    await initialise(target, scale);
    await system.settle();
    if (Number(values.warmup) > 0) await runFor(target, workload, clientCounts.at(-1) ?? 1, Number(values.warmup));
    if (values['client-tls']) {
      for (const clients of clientCounts)
        tlsRows.push(...(await clientTlsRows(system, { workload, clients, seconds, rounds: Number(values.rounds) })));
      continue;
    }
    await usage?.begin();
    const figures: string[] = [];
    const readings: { before: CpuReading; after: CpuReading; transactions: number }[] = [];
    for (const clients of clientCounts) {
      const stagesBefore = values.stages ? await system.stages?.() : undefined;
      const mergedBefore = await system.mergeSeconds?.();
      const before = await system.cpu();
      const { tps, latencyMs, failed, transactions } = await runFor(target, workload, clients, seconds);
      readings.push({ before, after: await system.cpu(), transactions });
      const stagesAfter = values.stages ? await system.stages?.() : undefined;
      if (stagesBefore !== undefined && stagesAfter !== undefined)
        stageTables.push(
          `\n${clients} ${clients === 1 ? 'client' : 'clients'}\n\n${markdownTable(STAGE_HEAD, stageRows(stagesBefore, stagesAfter, latencyMs, transactions))}`,
        );
      figures.push(`${Math.round(tps)} (${latencyMs.toFixed(2)} ms)`);
      const merged = mergedBefore === undefined ? Number.NaN : ((await system.mergeSeconds?.()) ?? 0) - mergedBefore;
      const merging = Number.isNaN(merged) ? '' : `, each daemon merged for ${shown(merged, 2)} s`;
      print(`${target.name}: ${clients} clients, ${Math.round(tps)} TPS, ${latencyMs.toFixed(2)} ms, ${failed} failed${merging}`);
    }
    if (usage !== undefined) {
      await system.settle();
      usageRows.push(
        ...(await usage.rows(
          target.name,
          readings.reduce((total, { transactions }) => total + transactions, 0),
        )),
      );
    }
    const memory = system.memoryMib === undefined ? '' : `${shown(system.memoryMib())} MiB`;
    rows.push([target.name, ...figures, memory]);
    addCpuRows(target.name, readings);
  } finally {
    usage?.stop();
    await system.stop();
  }
}
const columns = clientCounts.map((count) => `${count} ${count === 1 ? 'client' : 'clients'}`);
print(`\n${machineLoad()}\n`);
if (values['client-tls']) print(markdownTable(CLIENT_TLS_HEAD, tlsRows));
else print(markdownTable(['TPS (mean latency)', ...columns, 'memory of Node processes'], rows));
if (values.cpu) print(`\n${markdownTable(['CPU ms a transaction', 'part', ...columns], cpuRows)}`);
for (const table of stageTables) print(table);
if (values.usage) print(`\n${markdownTable(USAGE_HEAD, usageRows)}`);
