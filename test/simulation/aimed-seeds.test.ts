import { it } from 'vitest';
import { AIMED_SEEDS, passes, TIMEOUT_MS } from './seeds.ts';

it.each(AIMED_SEEDS)('seed %i, losses aimed at quorums', (seed) => passes(seed, 'quorums'), TIMEOUT_MS);
