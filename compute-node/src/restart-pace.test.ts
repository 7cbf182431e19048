import { expect, it } from 'vitest';
import { RestartPace } from './restart-pace.ts';

/** The longest pause each time. */
const pace = (): RestartPace => new RestartPace(() => 1);

it('lets two quick ends pass, then waits ever longer, ten seconds at most for a PostgreSQL that had taken connections', () => {
  const one = pace();
  const pauses = Array.from({ length: 12 }, () => one.afterSession('ended', 100));
  expect(pauses.slice(0, 5)).toEqual([0, 0, 200, 400, 800]);
  expect(pauses.at(-1)).toBe(10_000);
});

it('waits up to a minute for one that never took any', () => {
  const one = pace();
  const pauses = Array.from({ length: 14 }, () => one.afterSession('not-started', 100));
  expect(pauses.slice(0, 4)).toEqual([0, 0, 200, 400]);
  expect(pauses.at(-1)).toBe(60_000);
});

it('begins anew after a healthy life', () => {
  const one = pace();
  for (let count = 0; count < 8; count++) one.afterSession('ended', 100);
  expect(one.afterSession('ended', 60_000)).toBe(0);
});

it('never waits for a restart in order', () => {
  const one = pace();
  for (let count = 0; count < 8; count++) one.afterSession('ended', 100);
  expect(one.afterSession('restarting', 100)).toBe(0);
});
