import { it } from 'vitest';
import { AIMED_SEEDS, passes, TIMEOUT_MS } from './seeds.ts';

it.each(AIMED_SEEDS)('seed %i, with readers', (seed) => passes(seed, 'readers'), TIMEOUT_MS);
