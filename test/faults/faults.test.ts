import { describe, expect, it } from 'vitest';
import { runFaults } from './run.ts';
import { makeSchedule } from './schedule.ts';

describe('a ledger under faults', () => {
  it('has the same faults for the same seed', () => {
    expect(makeSchedule(7, 20_000)).toEqual(makeSchedule(7, 20_000));
    expect(makeSchedule(7, 20_000)).not.toEqual(makeSchedule(8, 20_000));
  });

  // The long form with any seed is `npm run faults`.
  it('loses nothing that was acknowledged or shown', { timeout: 240_000 }, async () => {
    const lines: string[] = [];
    const report = await runFaults({ seed: 1, seconds: 12, clients: 4, print: (line) => lines.push(line) });
    expect(report.violations, lines.join('\n')).toEqual([]);
    expect(report.acknowledged).toBeGreaterThan(50);
  });
});
