import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anomaliesOf } from '../history/check.ts';
import { faultsOf, plannedFaults, type PlannedFault } from './history-faults.ts';
import { recordHistory } from './history-run.ts';
import { StartedSystem } from './started-system.ts';

describe('histories of clients at every endpoint', () => {
  let system: StartedSystem;
  beforeAll(async () => {
    system = await StartedSystem.start(new URL('small-caches.yaml', import.meta.url).pathname);
  }, 240_000);
  afterAll(() => system?.stop());

  it('plans the same faults for the same seed', () => {
    const kinds = faultsOf(undefined);
    expect(plannedFaults(7, 30, kinds)).toEqual(plannedFaults(7, 30, kinds));
    expect(plannedFaults(7, 30, kinds)).not.toEqual(plannedFaults(8, 30, kinds));
  });

  // The long form, with faults by seed, is `npm run faults:history`.
  it(
    'keep to what the endpoints promise, with the writer’s agent paused and then its PostgreSQL killed',
    { timeout: 480_000 },
    async () => {
      const faults: PlannedFault[] = [
        { fault: 'writer-agent-paused', afterMs: 1000, forMs: 4000, which: 0 },
        { fault: 'writer-postgres-killed', afterMs: 1000, forMs: 0, which: 0 },
      ];
      const history = await recordHistory(system, { seed: 1, seconds: 10, hasVault: false, faults });
      expect(anomaliesOf(history)).toEqual([]);
      const count = (mode: string): number => history.transactions.filter((one) => one.mode === mode && one.outcome === 'ok').length;
      expect(history.faults.map(({ fault }) => fault)).toEqual(['writer-agent-paused', 'writer-postgres-killed']);
      // A table and its index agree on a reader while the writer is busy.
      const checks = history.transactions.filter(
        ({ mode, operations }) => mode === 'past' && operations.some((one) => one.kind === 'checked'),
      );
      expect(checks.length).toBeGreaterThan(3);
      for (const mode of ['serializable', 'current', 'past', 'committed']) expect(count(mode), mode).toBeGreaterThan(2);
    },
  );
});
