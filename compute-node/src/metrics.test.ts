import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { TAKEOVER_REASONS } from './failover-record.ts';
import { createMetrics, type AgentGauges } from './metrics.ts';

const NOTHING: AgentGauges = {
  replay: () => undefined,
  vdl: () => 0n,
  epoch: () => 0n,
  ringBytes: () => 0,
  leaseRemainingMs: () => 0,
  leaseTimesRunOut: () => 0,
  waitingFlushes: () => 0,
  flushesReturnEarly: () => 0,
  cache: () => undefined,
  load: () => undefined,
  segments: () => [],
};

test('failovers are counted from zero, for each reason: the first one is an increase', async () => {
  const registry = new Registry();
  const metrics = createMetrics(registry, NOTHING);
  const counts = async () => (await registry.metrics()).split('\n').filter((line) => line.startsWith('aurora_failovers_total'));
  expect(await counts()).toEqual(TAKEOVER_REASONS.map((reason) => `aurora_failovers_total{reason="${reason}"} 0`));
  metrics.failovers.inc({ reason: 'silent' });
  expect(await counts()).toContain('aurora_failovers_total{reason="silent"} 1');
});
