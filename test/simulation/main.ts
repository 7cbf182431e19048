import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runSeed, type RunOutcome } from './run.ts';

/**
 * The storage that ships under simulation: `npm run simulate -- --seeds 1000 [--first N]`. A seed that fails is run
 * again with its trace, which is printed to its end and kept whole in `simulation-<seed>.txt`. With `--shrink` it is
 * run without one kind of fault after the other first, and shown with those that are left.
 */

const TRACE_LINES = 80;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    'until-failure': { type: 'boolean', default: false },
  },
});
const seeds = Number(values.seeds);
const first = Number(values.first);
if (!Number.isInteger(seeds) || seeds < 1) throw new RangeError(`--seeds ${values.seeds}: give a whole number of 1 or more`);
if (!Number.isInteger(first) || first < 0) throw new RangeError(`--first ${values.first}: give a whole number`);

// Nobody reads the stacks of the many errors that are a part of a run, and they cost; a seed that fails is run again
// with them.
const STACK_LINES = Error.stackTraceLimit;
const startedAt = performance.now();
const failed: number[] = [];
const sums = { events: 0, records: 0, acknowledgements: 0, pagesCompared: 0, checks: 0 };
const faults = new Map<string, number>();

/** Kinds of faults that the seed fails without, as many as are found in one pass. */
async function shrink(seed: number, kinds: Iterable<string>): Promise<ReadonlySet<string>> {
  let without: ReadonlySet<string> = new Set();
  for (const kind of kinds) {
    const fewer = new Set([...without, kind]);
    const { failure } = await runSeed(seed, { traced: false, without: fewer });
    if (failure !== undefined) without = fewer;
  }
  return without;
}

async function show(seed: number, kinds: Iterable<string>): Promise<void> {
  const without = values.shrink ? await shrink(seed, kinds) : new Set<string>();
  Error.stackTraceLimit = STACK_LINES;
  const { failure, trace, faults: left } = await runSeed(seed, { traced: true, without });
  const file = `simulation-${seed}.txt`;
  writeFileSync(file, `${trace.join('\n')}\n`);
  print(trace.slice(-TRACE_LINES).join('\n'));
  if (values.shrink) print(`seed ${seed} needs no more than: ${[...left.keys()].join(', ')}`);
  print(`seed ${seed}: ${failure?.message ?? 'passed, the second time: the simulation is not deterministic'}; whole trace in ${file}`);
}

function add(outcome: RunOutcome): void {
  for (const key of ['events', 'records', 'acknowledgements', 'pagesCompared', 'checks'] as const) sums[key] += outcome[key];
  for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count);
}

for (let seed = first; seed < first + seeds; seed++) {
  Error.stackTraceLimit = 0;
  const outcome = await runSeed(seed, { traced: false });
  add(outcome);
  if (outcome.failure !== undefined && values['until-failure']) {
    print(`seed ${seed} fails: ${outcome.failure.message.split('\n', 1)[0]}`);
    process.exit(1);
  }
  if (outcome.failure !== undefined || values.trace) {
    if (outcome.failure !== undefined) failed.push(seed);
    await show(seed, outcome.faults.keys());
  }
}
const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage();
const perCpuSecond = (seeds * 1e6) / (user + system);
print(
  `${seeds} seeds in ${seconds.toFixed(1)} s (${(seeds / seconds).toFixed(2)} a second, ${perCpuSecond.toFixed(2)} a second of CPU): ${JSON.stringify(sums)}`,
);
print(
  [...faults]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', '),
);
if (failed.length > 0) {
  print(`${failed.length} seeds failed: ${failed.join(' ')}; again: npm run simulate -- --seeds 1 --first ${failed[0]}`);
  process.exit(1);
}
