/**
 * `node test/bench/lookups.ts --rounds 15 --seconds 2 --clients 1,8`: pgbench's lookups by primary key, with everything in memory, through us
 * and through stock PostgreSQL. Both run, and are asked in turns of `--seconds`, so that a machine whose speed changes from minute to minute burdens both
 * alike; each round asks them in the other order. The ratio is the median of the rounds' own ratios. What ours does with nothing to do (daemons and
 * agent) burdens the other's turns as well as its own, and is printed beside.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { initialise, requirePgbench, runFor } from './pgbench.ts';
import { machineLoad } from './process-usage.ts';
import { chosenSystems, type BenchSystem } from './systems.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '2' },
    clients: { type: 'string', default: '1,8' },
    scale: { type: 'string', default: '10' },
  },
});
const seconds = Number(values.seconds);
const IDLE_MS = 10_000;

interface Turn {
  readonly tps: number;
  /** Of PostgreSQL, for a lookup. */
  readonly cpuMs: number;
}

const cpuOf = async (system: BenchSystem, part: string): Promise<number> => (await system.cpu()).get(part) ?? Number.NaN;

async function turn(system: BenchSystem, clients: number): Promise<Turn> {
  const before = await cpuOf(system, 'PostgreSQL');
  const { tps, transactions } = await runFor(system.target, 'select', clients, seconds);
  return { tps, cpuMs: (1000 * ((await cpuOf(system, 'PostgreSQL')) - before)) / transactions };
}

/** The median, and the quarters on both sides of it. */
function spread(figures: readonly number[], digits: number): string {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => shown(quantile(figures, part), digits));
  return `${middle} (${low}–${high})`;
}

await requirePgbench();
print(`lookups, scale ${values.scale}, ${values.rounds} rounds of ${seconds} s each; at the start ${machineLoad()}\n`);
const systems: BenchSystem[] = [];
try {
  for (const start of chosenSystems('ours,alone')) systems.push(await start());
  const [ours, stock] = systems;
  if (ours === undefined || stock === undefined) throw new Error('two systems are compared');
  for (const system of systems) {
    await initialise(system.target, Number(values.scale));
    await system.settle();
    await runFor(system.target, 'select', 4, 5);
  }
  const idleBefore = await cpuOf(ours, 'all');
  await delay(IDLE_MS);
  const idleMs = (1000 * 1000 * ((await cpuOf(ours, 'all')) - idleBefore)) / IDLE_MS;
  const rows: string[][] = [];
  for (const clients of values.clients.split(',').map(Number)) {
    const turns: { readonly ours: Turn; readonly stock: Turn }[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const before = round % 2 === 0 ? undefined : await turn(stock, clients);
      const ofOurs = await turn(ours, clients);
      turns.push({ ours: ofOurs, stock: before ?? (await turn(stock, clients)) });
    }
    const column = (figure: (each: (typeof turns)[number]) => number, digits: number): string => spread(turns.map(figure), digits);
    rows.push([
      String(clients),
      column((each) => each.ours.tps, 0),
      column((each) => each.stock.tps, 0),
      column((each) => each.ours.tps / each.stock.tps, 3),
      column((each) => each.ours.cpuMs, 4),
      column((each) => each.stock.cpuMs, 4),
    ]);
  }
  print(`${machineLoad()}; ours with nothing to do: ${shown(idleMs)} ms of CPU a second\n`);
  print(
    markdownTable(['clients', 'ours, lookups/s', 'stock', 'ours ÷ stock, by rounds', 'CPU ms of PostgreSQL a lookup, ours', 'stock'], rows),
  );
} finally {
  for (const system of systems) await system.stop();
}
