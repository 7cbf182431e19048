import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { CustomMetrics } from './custom-metrics.ts';
import { withinBounds, type Series } from './series.ts';

const series = (query: string, count: number, label: string): Series[] =>
  Array.from({ length: count }, (_, index) => ({
    metric: `aurora_custom_${query}_open`,
    help: 'Orders',
    isCounter: false,
    labels: { database: 'shop', state: `${index}${label}` },
    value: index,
  }));

test('a query whose series do not fit beside those before it has none, and later ones that fit have theirs', () => {
  const [few, many, more] = [series('few', 900, 'x'), series('many', 200, 'x'), series('more', 100, 'x')];
  expect(withinBounds([few, many, more])).toEqual([few, 'over', more]);
  expect(withinBounds([])).toEqual([]);
});

test('what they add to a scrape is bounded in bytes too, whatever stands in their labels', async () => {
  const queries = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => series(name, 100, '"\\\n€'.repeat(30)));
  const shown = withinBounds(queries);
  expect(shown).toContain('over');
  const registry = new Registry();
  const metrics = new CustomMetrics(registry, () => []);
  metrics.show(shown.flatMap((one) => (one === 'over' ? [] : one)));
  const bytes = Buffer.byteLength(await registry.metrics());
  expect(bytes).toBeGreaterThan(40 * 1024);
  expect(bytes).toBeLessThan(104 * 1024);
});
