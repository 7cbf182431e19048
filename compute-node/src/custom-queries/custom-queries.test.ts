import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { CustomMetrics } from './custom-metrics.ts';
import { readQueries } from './definition.ts';
import { seriesOf } from './series.ts';

const GOOD = `
orders:
  query: "select state, count(*) as open from orders group by state;"
  primary: true
  cache_seconds: 60
  target_databases: [shop]
  metrics:
    - state: { usage: LABEL, description: What they wait for }
    - open: { usage: GAUGE, description: Orders }
    - note: { usage: DISCARD }
`;
const read = (text: string) => readQueries(new Map([['q.yaml', text]]));
const [orders] = read(GOOD).queries;

test('queries are read as they are written for others', () => {
  expect(read(GOOD)).toEqual({
    problems: [],
    queries: [
      {
        name: 'orders',
        sql: 'select state, count(*) as open from orders group by state',
        columns: [
          { name: 'state', usage: 'LABEL', description: 'What they wait for' },
          { name: 'open', usage: 'GAUGE', description: 'Orders' },
          { name: 'note', usage: 'DISCARD', description: '' },
        ],
        databases: ['shop'],
        isWritersOnly: true,
        everyMs: 60_000,
      },
    ],
  });
  expect(read('')).toEqual({ queries: [], problems: [] });
  expect(readQueries(new Map())).toEqual({ queries: [], problems: [] });
});

test.each([
  ['a: {query: select 1', /^q\.yaml: /],
  ['- a', /has to be a map of queries/],
  ['a: 1', /a: needs query and metrics/],
  ['a b: {query: x, metrics: [{c: {usage: GAUGE}}]}', /letters, digits and underscores/],
  ['a: {metrics: [{c: {usage: GAUGE}}]}', /query has to be a text/],
  ['a: {query: x}', /metrics has to be a list/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}, d: {usage: GAUGE}}]}', /has to be one column/],
  ['a: {query: x, metrics: [{c: {usage: HISTOGRAM}}]}', /column c: usage has to be one of GAUGE/],
  ['a: {query: x, metrics: [{c: {usage: LABEL}}]}', /no column is a GAUGE or a COUNTER/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}, {c: {usage: LABEL}}]}', /a column is there twice/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}, {database: {usage: LABEL}}]}', /'database'/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}], runonserver: ">=10"}', /'runonserver' is not known here/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}], target_databases: ["*"]}', /patterns are not known/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}], primary: yes please}', /primary has to be true or false/],
  ['a: {query: x, metrics: [{c: {usage: GAUGE}}], cache_seconds: -1}', /cache_seconds/],
])('%s is refused with the reason, and the others are asked', (text, reason) => {
  const { queries, problems } = readQueries(
    new Map([
      ['q.yaml', text],
      ['z.yaml', GOOD],
    ]),
  );
  expect(problems).toEqual([expect.stringMatching(reason)]);
  expect(queries.map(({ name }) => name)).toEqual(['orders']);
});

test('an answer becomes series, and one of another form says what is wrong', () => {
  if (orders === undefined) throw new Error('no query');
  expect(
    seriesOf(orders, 'shop', [
      { state: 'new', open: '3', note: 'x' },
      { state: null, open: null, note: 'x' },
    ]),
  ).toEqual([
    { metric: 'aurora_custom_orders_open', help: 'Orders', isCounter: false, labels: { database: 'shop', state: 'new' }, value: 3 },
  ]);
  expect(seriesOf(orders, 'shop', [])).toEqual([]);
  expect(() => seriesOf(orders, 'shop', [{ open: 1 }])).toThrow('the answer has no column state');
  expect(() => seriesOf(orders, 'shop', [{ state: 'new', open: 'many', note: '' }])).toThrow("column open is 'many', and no number");
});

test('metrics come and go with the answers', async () => {
  const registry = new Registry();
  const metrics = new CustomMetrics(registry, () => [{ query: 'orders', failures: 1, isFailing: true }]);
  const one = { metric: 'aurora_custom_a_b', help: 'B', isCounter: false, labels: { database: 'x' }, value: 3 };
  metrics.show([one, { ...one, labels: { database: 'y' } }]);
  metrics.show([
    { ...one, value: 4 },
    { ...one, metric: 'aurora_custom_c', isCounter: true },
  ]);
  const text = await registry.metrics();
  expect(text).toContain('aurora_custom_a_b{database="x"} 4');
  expect(text).not.toContain('database="y"');
  expect(text).toContain('# TYPE aurora_custom_c counter');
  expect(text).toContain('aurora_custom_query_up{query="orders"} 0');
  metrics.show([]);
  expect(await registry.metrics()).not.toContain('aurora_custom_a_b');
});
