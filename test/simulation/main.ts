import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MIXTURES, type Mixture } from './mix.ts';
import { runRange, together, type RangeOutcome, type SeedRange } from './seed-range.ts';

/**
 * The storage that ships under simulation: `npm run simulate -- --seeds 1000 [--first N] [--workers N]
 * [--mixture any|quorums|tails|stand-ins|readers|leases|elections]`. A seed that
 * fails is run again with its trace, which is printed to its end and kept whole in `simulation-<seed>.txt`. With
 * `--shrink` it is run without one kind of fault after the other first, and shown with those that are left. The seeds
 * are shared out among as many processes as the machine has cores.
 */

const PROGRESS_EVERY_MS = 60_000;
/** Then another takes over: V8 keeps something of every seed, and those that follow take longer for it. */
const SEEDS_A_PROCESS = 50;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    first: { type: 'string', default: '1' },
    workers: { type: 'string' },
    mixture: { type: 'string', default: 'any' },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    'until-failure': { type: 'boolean', default: false },
  },
});
const seeds = wholeNumber('seeds', values.seeds, 1);
const first = wholeNumber('first', values.first, 0);
const mixture = mixtureNamed(values.mixture);
const workers = Math.min(seeds, wholeNumber('workers', values.workers ?? String(availableParallelism()), 1));

function wholeNumber(name: string, text: string, min: number): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < min) throw new RangeError(`--${name} ${text}: give a whole number of ${min} or more`);
  return number;
}

function mixtureNamed(name: string): Mixture {
  const mixture = MIXTURES.find((one) => one === name);
  if (mixture === undefined) throw new RangeError(`--mixture ${name}: give one of ${MIXTURES.join(', ')}`);
  return mixture;
}

/** What a worker says: a seed is done, something to print, or the end. */
interface Word {
  readonly seed?: true;
  readonly text?: string;
  readonly outcome?: RangeOutcome;
}

function runInWorker(range: SeedRange, onSeed: () => void): Promise<RangeOutcome> {
  const child = fork(fileURLToPath(new URL('seed-worker.ts', import.meta.url)));
  return new Promise((resolve, reject) => {
    child.on('message', ({ seed, text, outcome }: Word) => {
      if (seed === true) onSeed();
      if (text !== undefined) print(text);
      if (outcome !== undefined) resolve(outcome);
    });
    child.once('exit', (code, signal) => reject(new Error(`a worker ended with ${signal ?? code} before its seeds were done`)));
    child.send(range);
  });
}

const startedAt = performance.now();
let done = 0;
const onSeed = (): void => void done++;
const elapsed = (): number => (performance.now() - startedAt) / 1000;
const progress = setInterval(() => process.stderr.write(`${done} of ${seeds} seeds in ${elapsed().toFixed(0)} s\n`), PROGRESS_EVERY_MS);

/** Those that are still to be run, a process's worth at a time; all workers take theirs from here. */
function* rangesLeft(): Generator<SeedRange> {
  const end = first + seeds;
  // As even as may be where there are few.
  const each = Math.min(SEEDS_A_PROCESS, Math.ceil(seeds / workers));
  for (let from = first; from < end; from += each)
    yield { first: from, end: Math.min(from + each, end), step: 1, mixture, trace: values.trace, shrink: values.shrink, untilFailure };
}

const untilFailure = values['until-failure'];
const left = rangesLeft();

async function work(): Promise<RangeOutcome[]> {
  const outcomes: RangeOutcome[] = [];
  // Leaving the loop ends it for the others too, once they have done what they have.
  for (const range of left) {
    const outcome = workers === 1 ? await runRange(range, print, onSeed) : await runInWorker(range, onSeed);
    outcomes.push(outcome);
    if (untilFailure && outcome.failed.length > 0) break;
  }
  return outcomes;
}

const { failed, sums, faults, cpuSeconds } = together((await Promise.all(Array.from({ length: workers }, work))).flat());
clearInterval(progress);

const rates = `${(done / elapsed()).toFixed(2)} a second, ${(done / cpuSeconds).toFixed(2)} a second of CPU`;
print(`${done} seeds in ${elapsed().toFixed(1)} s (${rates}): ${JSON.stringify(sums)}`);
print(
  Object.entries(faults)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', '),
);
if (failed.length > 0) {
  print(
    `${failed.length} seeds failed: ${failed.join(' ')}; again: npm run simulate -- --seeds 1 --first ${failed[0]} --mixture ${mixture}`,
  );
  process.exit(1);
}
