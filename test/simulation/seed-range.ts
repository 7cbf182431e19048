import { writeFileSync } from 'node:fs';
import type { Mixture } from './mix.ts';
import { runSeed, type RunOutcome } from './run.ts';

export interface SeedRange {
  readonly first: number;
  readonly end: number;
  /** Every so manyth seed of them. */
  readonly step: number;
  readonly mixture: Mixture;
  /** Show each seed's trace, also of those that pass. */
  readonly trace: boolean;
  /** Leave out kinds of faults for as long as a seed still fails, before it is shown. */
  readonly shrink: boolean;
  readonly untilFailure: boolean;
}

const COUNTS = [
  'events',
  'records',
  'acknowledgements',
  'recordsShown',
  'pagesCompared',
  'checks',
  'standIns',
  'elections',
  'lent',
] as const;

export interface RangeOutcome {
  readonly seeds: number;
  readonly failed: readonly number[];
  readonly sums: Readonly<Record<(typeof COUNTS)[number], number>>;
  /** How often each kind of fault came. */
  readonly faults: Readonly<Record<string, number>>;
  readonly cpuSeconds: number;
}

const TRACE_LINES = 80;

/** Runs the seeds one after another; `print` gets the end of the trace of each that fails. */
export async function runRange(range: SeedRange, print: (text: string) => void, onSeed: () => void): Promise<RangeOutcome> {
  // Nobody reads the stacks of the many errors that are a part of a run, and they cost; a seed that fails is run again
  // with them.
  const stackLines = Error.stackTraceLimit;
  const cpuBefore = process.cpuUsage();
  const failed: number[] = [];
  let sums = {
    events: 0,
    records: 0,
    acknowledgements: 0,
    recordsShown: 0,
    pagesCompared: 0,
    checks: 0,
    standIns: 0,
    elections: 0,
    lent: 0,
  };
  let faults: Record<string, number> = {};
  let seeds = 0;
  for (let seed = range.first; seed < range.end; seed += range.step) {
    Error.stackTraceLimit = 0;
    const outcome = await runSeed(seed, { traced: false, mixture: range.mixture });
    seeds++;
    onSeed();
    sums = addCounts(sums, outcome);
    faults = addFaults(faults, outcome.faults);
    if (outcome.failure !== undefined) failed.push(seed);
    if (outcome.failure !== undefined && range.untilFailure) {
      print(`seed ${seed} fails: ${outcome.failure.message.split('\n', 1)[0]}`);
      break;
    }
    if (outcome.failure === undefined && !range.trace) continue;
    Error.stackTraceLimit = stackLines;
    await show(seed, outcome, range, print);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seeds, failed, sums, faults, cpuSeconds: (user + system) / 1e6 };
}

/** What several ranges came to together. */
export function together(outcomes: readonly RangeOutcome[]): RangeOutcome {
  return outcomes.reduce((all, one) => ({
    seeds: all.seeds + one.seeds,
    failed: [...all.failed, ...one.failed].toSorted((a, b) => a - b),
    sums: addCounts(all.sums, one.sums),
    faults: addFaults(all.faults, Object.entries(one.faults)),
    cpuSeconds: all.cpuSeconds + one.cpuSeconds,
  }));
}

function addCounts(sums: RangeOutcome['sums'], more: RangeOutcome['sums']): RangeOutcome['sums'] {
  const added = { ...sums };
  for (const count of COUNTS) added[count] += more[count];
  return added;
}

function addFaults(faults: RangeOutcome['faults'], more: Iterable<readonly [string, number]>): Record<string, number> {
  const added = { ...faults };
  for (const [name, count] of more) added[name] = (added[name] ?? 0) + count;
  return added;
}

async function show(
  seed: number,
  { faults }: RunOutcome,
  { shrink: shrinks, mixture }: SeedRange,
  print: (text: string) => void,
): Promise<void> {
  const without = shrinks ? await shrink(seed, mixture, faults.keys()) : new Set<string>();
  const { failure, trace, faults: left } = await runSeed(seed, { traced: true, without, mixture });
  const file = `simulation-${seed}.txt`;
  writeFileSync(file, `${trace.join('\n')}\n`);
  print(trace.slice(-TRACE_LINES).join('\n'));
  if (shrinks) print(`seed ${seed} needs no more than: ${[...left.keys()].join(', ')}`);
  print(`seed ${seed}: ${failure?.message ?? 'passed, the second time: the simulation is not deterministic'}; whole trace in ${file}`);
}

/** Kinds of faults that the seed fails without, as many as are found in one pass. */
async function shrink(seed: number, mixture: Mixture, kinds: Iterable<string>): Promise<ReadonlySet<string>> {
  let without: ReadonlySet<string> = new Set();
  for (const kind of kinds) {
    const fewer = new Set([...without, kind]);
    const { failure } = await runSeed(seed, { traced: false, without: fewer, mixture });
    if (failure !== undefined) without = fewer;
  }
  return without;
}
