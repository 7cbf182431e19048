import { expect, it } from 'vitest';
import { RedoInflow } from './redo-inflow.ts';

/** Whether it is much after `bytes` came every `everyMs` for `ms`, and how many milliseconds later it no longer is. */
function after(bytes: number, everyMs: number, ms: number): { isMuch: boolean; overAfterMs: number } {
  let now = 1000;
  const inflow = new RedoInflow(() => now);
  for (const end = now + ms; now < end; now += everyMs) inflow.note(bytes);
  const { isMuch } = inflow;
  const ended = now;
  while (inflow.isMuch) now++;
  return { isMuch, overAfterMs: now - ended };
}

it('is much while a load or many commits come in, and is over soon after', () => {
  expect(new RedoInflow(() => 0).isMuch).toBe(false);
  for (const load of [after(1024 * 1024, 30, 10_000), after(256 * 1024, 1, 1), after(800, 1, 3000)]) {
    expect(load.isMuch).toBe(true);
    expect(load.overAfterMs).toBeGreaterThan(100);
    expect(load.overAfterMs).toBeLessThanOrEqual(500);
  }
});

it('is not much when a database does next to nothing', () => {
  expect(after(16 * 1024, 1000, 60_000).isMuch).toBe(false);
  expect(after(500, 15, 60_000).isMuch).toBe(false);
});
