import { expect, it } from 'vitest';
import { runSeed } from './run.ts';

it('the same seed gives the same run, and something happens in it', async () => {
  const [one, again, another] = [
    await runSeed(2, { traced: true }),
    await runSeed(2, { traced: true }),
    await runSeed(8, { traced: true }),
  ];
  expect(one.failure).toBeUndefined();
  expect(again.trace).toEqual(one.trace);
  expect(again.events).toBe(one.events);
  expect(another.trace).not.toEqual(one.trace);
  expect(one.acknowledgements).toBeGreaterThan(20);
  expect(one.faults.size).toBeGreaterThan(3);
}, 300_000);
