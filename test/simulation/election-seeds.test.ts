import { afterAll, expect, it } from 'vitest';
import { AIMED_SEEDS, outcomeOf, TIMEOUT_MS } from './seeds.ts';

/** Each takes as long as a few others; npm run simulate tries any number. */
const FEW = AIMED_SEEDS.slice(0, 4);

let elections = 0;

it.each(FEW)(
  'seed %i, of computes that elect their writer',
  async (seed) => {
    elections += (await outcomeOf(seed, 'elections')).elections;
  },
  TIMEOUT_MS,
);

// Otherwise they try nothing.
afterAll(() => expect(elections).toBeGreaterThan(FEW.length / 2));
