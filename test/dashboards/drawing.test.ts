import { expect, test } from 'vitest';
import { atSteps, drawingOf, legendOf, type DashboardJson } from './drawing.ts';

test('a legend has the labels of its series, and nothing for one that it has not', () => {
  expect(legendOf('{{pod}} p99', { pod: 'demo-1' })).toBe('demo-1 p99');
  expect(legendOf('{{ type }}: {{event}}', { type: 'IO' })).toBe('IO: ');
});

test('where Prometheus has no value, or none that is a number, there is a gap', () => {
  const series = {
    metric: { pod: 'demo-1' },
    values: [
      [100, '1'],
      [110, 'NaN'],
      [120, '3'],
    ] as const,
  };
  expect(atSteps(series, '{{pod}}', 95_000, 125_000, 5000)).toEqual({
    name: 'demo-1',
    times: [95_000, 100_000, 105_000, 110_000, 115_000, 120_000, 125_000],
    values: [null, 1, null, null, null, 3, null],
  });
});

test('every query of a panel is asked, and its series are the panel’s', async () => {
  const dashboard: DashboardJson = {
    title: 'kube-aurora: cluster',
    panels: [
      {
        title: 'CPU',
        type: 'timeseries',
        gridPos: { x: 0, y: 0, w: 8, h: 8 },
        fieldConfig: { defaults: { unit: 'short' }, overrides: [] },
        targets: [
          { expr: 'a', legendFormat: '{{pod}}' },
          { expr: 'b', legendFormat: 'limit' },
        ],
      },
    ],
  };
  const { panels } = await drawingOf(dashboard, { fromMs: 0, toMs: 1000, stepMs: 1000 }, (expr) =>
    Promise.resolve(expr === 'a' ? [{ metric: { pod: 'x' }, values: [[0, '1']] }] : []),
  );
  expect(panels).toEqual([
    {
      title: 'CPU',
      type: 'timeseries',
      gridPos: { x: 0, y: 0, w: 8, h: 8 },
      defaults: { unit: 'short' },
      overrides: [],
      options: {},
      series: [{ name: 'x', times: [0, 1000], values: [1, null] }],
    },
  ]);
});
