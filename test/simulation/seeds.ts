import type { Mixture } from './mix.ts';
import { runSeed, type RunOutcome } from './run.ts';

/** What every `npm test` tries, in two files so that two run at once; `npm run simulate` tries any number of others. */

const COUNT = 200;

/** Of each mixture that aims at something. */
const AIMED_COUNT = 6;

export const SEEDS: readonly number[] = Array.from({ length: COUNT }, (_, index) => index + 1);
export const AIMED_SEEDS: readonly number[] = SEEDS.slice(0, AIMED_COUNT);
/** Virtual time does not care how busy the machine is; the test runner must not either. */
export const TIMEOUT_MS = 300_000;

/** Throws what the seed failed with, and how to see it again. */
export async function passes(seed: number, mixture: Mixture = 'any'): Promise<void> {
  await outcomeOf(seed, mixture);
}

/** The same; gives what came of it. */
export async function outcomeOf(seed: number, mixture: Mixture): Promise<RunOutcome> {
  const outcome = await runSeed(seed, { traced: false, mixture });
  const { failure } = outcome;
  if (failure === undefined) return outcome;
  throw new Error(`seed ${seed}: ${failure.message}; its trace: npm run simulate -- --seeds 1 --first ${seed} --mixture ${mixture}`, {
    cause: failure,
  });
}
