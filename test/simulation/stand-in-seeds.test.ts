import { afterAll, expect, it } from 'vitest';
import { AIMED_SEEDS, outcomeOf, TIMEOUT_MS } from './seeds.ts';

let standIns = 0;

it.each(AIMED_SEEDS)(
  'seed %i',
  async (seed) => {
    standIns += (await outcomeOf(seed, 'stand-ins')).standIns;
  },
  TIMEOUT_MS,
);

afterAll(() => expect(standIns).toBeGreaterThan(AIMED_SEEDS.length / 2));
