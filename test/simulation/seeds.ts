import type { Mixture } from './mix.ts';
import { runSeed } from './run.ts';

/** What every `npm test` tries, in two files so that two run at once; `npm run simulate` tries any number of others. */

const COUNT = 200;

/** Of each mixture that aims at something. */
const AIMED_COUNT = 20;

export const SEEDS: readonly number[] = Array.from({ length: COUNT }, (_, index) => index + 1);
export const AIMED_SEEDS: readonly number[] = SEEDS.slice(0, AIMED_COUNT);
/** Virtual time does not care how busy the machine is; the test runner must not either. */
export const TIMEOUT_MS = 300_000;

/** Throws what the seed failed with, and how to see it again. */
export async function passes(seed: number, mixture: Mixture = 'any'): Promise<void> {
  const { failure } = await runSeed(seed, { traced: false, mixture });
  if (failure === undefined) return;
  throw new Error(`seed ${seed}: ${failure.message}; its trace: npm run simulate -- --seeds 1 --first ${seed} --mixture ${mixture}`, {
    cause: failure,
  });
}
