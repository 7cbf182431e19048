import { describe, it } from 'vitest';
import { AIMED_SEEDS, passes, TIMEOUT_MS } from './seeds.ts';

describe.each(['quorums', 'tails', 'leases'] as const)('aimed at %s', (mixture) => {
  it.each(AIMED_SEEDS)('seed %i', (seed) => passes(seed, mixture), TIMEOUT_MS);
});
