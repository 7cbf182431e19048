/**
 * A dashboard, its panels drawn by Grafana's own components (@grafana/ui): what the browser is given is a Drawing (drawing.ts) as `window.drawing`.
 * Says that it is done by a mark on the body.
 */
import {
  createTheme,
  dateTime,
  FieldColorModeId,
  FieldType,
  getDisplayProcessor,
  MutableDataFrame,
  ThemeContext,
  type DataFrame,
  type Field,
} from '@grafana/data';
import { GraphDrawStyle, LegendDisplayMode, StackingMode, VisibilityMode } from '@grafana/schema';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, GlobalStyles, PanelChrome, TimeSeries } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';
import type { Drawing } from '../drawing.ts';

declare global {
  interface Window {
    readonly drawing: Drawing;
  }
}

type Panel = Drawing['panels'][number];

/** Grafana's grid: 24 columns, rows of 30 pixels, 8 between. */
const [COLUMNS, ROW, GAP] = [24, 30, 8];
const WIDTH = 1568;
const theme = createTheme({ colors: { mode: 'dark' } });

/** What Grafana's own panel has where a dashboard says nothing. */
const CUSTOM = {
  drawStyle: GraphDrawStyle.Line,
  lineWidth: 1,
  fillOpacity: 0,
  showPoints: VisibilityMode.Never,
  spanNulls: false,
  axisPlacement: 'auto',
  scaleDistribution: { type: 'linear' },
  stacking: { mode: StackingMode.None, group: 'A' },
  hideFrom: { legend: false, tooltip: false, viz: false },
  thresholdsStyle: { mode: 'off' },
};

function fieldOf(panel: Panel, series: Panel['series'][number], index: number): Field {
  const { custom, ...defaults } = panel.defaults as { custom?: { stacking?: object } };
  const config: Record<string, unknown> & { custom: object } = {
    color: { mode: FieldColorModeId.PaletteClassic },
    ...defaults,
    custom: { ...CUSTOM, ...custom, stacking: { ...CUSTOM.stacking, ...custom?.stacking } },
    displayName: series.name,
  };
  for (const { matcher, properties } of panel.overrides)
    if (matcher.options === series.name)
      for (const { id, value } of properties) {
        if (id.startsWith('custom.')) config.custom = { ...config.custom, [id.slice('custom.'.length)]: value };
        else config[id] = value;
      }
  const field: Field = {
    name: series.name,
    type: FieldType.number,
    config,
    values: [...series.values],
    state: { displayName: series.name, seriesIndex: index },
  };
  field.display = getDisplayProcessor({ field, theme });
  return field;
}

function frameOf(panel: Panel): DataFrame {
  const times = panel.series[0]?.times ?? [];
  const time: Field = { name: 'Time', type: FieldType.time, config: {}, values: [...times] };
  time.display = getDisplayProcessor({ field: time, theme });
  return { length: times.length, fields: [time, ...panel.series.map((series, index) => fieldOf(panel, series, index))] };
}

function Chart({ panel, width, height }: { panel: Panel; width: number; height: number }) {
  const { fromMs, toMs } = window.drawing;
  const range = { from: dateTime(fromMs), to: dateTime(toMs), raw: { from: dateTime(fromMs), to: dateTime(toMs) } };
  return (
    <TimeSeries
      frames={[frameOf(panel)]}
      width={width}
      height={height}
      timeRange={range}
      timeZone="utc"
      legend={{
        displayMode: LegendDisplayMode.List,
        placement: 'bottom',
        showLegend: true,
        calcs: [],
        ...(panel.options['legend'] as object | undefined),
      }}
    />
  );
}

function Stat({ panel, width, height }: { panel: Panel; width: number; height: number }) {
  const [, field] = frameOf(panel).fields;
  if (field === undefined) return null;
  const last = field.values.findLast((value) => value !== null) as number | undefined;
  const value = field.display?.(last) ?? { text: '', numeric: Number.NaN };
  const frame = new MutableDataFrame({ fields: [{ name: 'x', values: [] }] });
  return (
    <BigValue
      width={width}
      height={height}
      theme={theme}
      colorMode={BigValueColorMode.Value}
      graphMode={BigValueGraphMode.Area}
      textMode={BigValueTextMode.Value}
      value={{ ...value, color: value.color ?? theme.visualization.getColorByName('green') }}
      sparkline={{
        y: field,
        x: { ...frame.fields[0]!, name: 'x', type: FieldType.time, values: [...(panel.series[0]?.times ?? [])], config: {} } as Field,
      }}
    />
  );
}

function Dashboard() {
  const { title, panels } = window.drawing;
  const column = (WIDTH - GAP) / COLUMNS;
  const bottom = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h));
  return (
    <div
      style={{
        width: WIDTH,
        padding: GAP / 2,
        background: theme.colors.background.canvas,
        color: theme.colors.text.primary,
        fontFamily: theme.typography.fontFamily,
      }}
    >
      <div style={{ ...theme.typography.h4, padding: '6px 4px 10px' }}>{title}</div>
      <div style={{ position: 'relative', height: bottom * (ROW + GAP) }}>
        {panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const [width, height] = [w * column - GAP, h * (ROW + GAP) - GAP];
          return (
            <div key={`${x} ${y}`} style={{ position: 'absolute', left: x * column + GAP / 2, top: y * (ROW + GAP), width, height }}>
              <PanelChrome title={panel.title} width={width} height={height}>
                {(innerWidth, innerHeight) =>
                  panel.series.length === 0 ? (
                    <div style={{ height: innerHeight, display: 'grid', placeItems: 'center', color: theme.colors.text.secondary }}>
                      No data
                    </div>
                  ) : panel.type === 'stat' ? (
                    <Stat panel={panel} width={innerWidth} height={innerHeight} />
                  ) : (
                    <Chart panel={panel} width={innerWidth} height={innerHeight} />
                  )
                }
              </PanelChrome>
            </div>
          );
        })}
      </div>
    </div>
  );
}

createRoot(document.getElementById('root')!).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Dashboard />
  </ThemeContext.Provider>,
);
