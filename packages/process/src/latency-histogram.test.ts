import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { LabelledLatencies, LATENCY_BUCKETS, LatencyHistogram } from './latency-histogram.ts';

it('is scraped as any histogram: counts up to each bound, sum and count', async () => {
  const registry = new Registry();
  const histogram = new LatencyHistogram({ name: 'some_seconds', help: 'How long', registers: [registry] });
  for (const seconds of [0, 0.00005, 0.00006, 0.001, 0.5, 11]) histogram.note(seconds);
  const text = await registry.metrics();
  expect(text).toContain('# TYPE some_seconds histogram');
  expect(text).toContain('some_seconds_bucket{le="0.00005"} 2');
  expect(text).toContain('some_seconds_bucket{le="0.0007"} 3');
  expect(text).toContain('some_seconds_bucket{le="0.001"} 4');
  expect(text).toContain('some_seconds_bucket{le="10"} 5');
  expect(text).toContain('some_seconds_bucket{le="+Inf"} 6');
  expect(text).toContain('some_seconds_count 6');
  expect(text).toMatch(/some_seconds_sum 11\.5011/);
});

it('counts each of several things under its own labels', async () => {
  const registry = new Registry();
  const histogram = new LabelledLatencies({ name: 'some_seconds', help: 'How long', labelNames: ['segment'], registers: [registry] });
  histogram.of({ segment: 'a1' }).note(0.001);
  histogram.of({ segment: 'a1' }).note(20);
  histogram.of({ segment: 'b1' }).note(0.5);
  const text = await registry.metrics();
  expect(text).toContain('some_seconds_bucket{segment="a1",le="0.001"} 1');
  expect(text).toContain('some_seconds_bucket{segment="a1",le="+Inf"} 2');
  expect(text).toContain('some_seconds_count{segment="b1"} 1');
});

it('has bounds that ascend', () => {
  expect(LATENCY_BUCKETS.toSorted((a, b) => a - b)).toEqual(LATENCY_BUCKETS);
  expect(new Set(LATENCY_BUCKETS).size).toBe(LATENCY_BUCKETS.length);
});
