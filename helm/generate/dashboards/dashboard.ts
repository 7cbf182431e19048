/** Dashboards for Grafana as they are written here: rows of panels, each a few queries. */

export interface Query {
  /** PromQL. COMPUTE, STORAGE and CLUSTER stand for the labels that pick the programs of the cluster that was chosen. */
  readonly expr: string;
  readonly legend: string;
  /** Drawn as a line, dashed, over what is stacked. */
  readonly isLimit?: true;
}

/** Grafana's names of units. */
export type Unit = 'short' | 's' | 'Bps' | 'bytes' | 'ops' | 'percentunit';

export interface Panel {
  readonly title: string;
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** Lines by default. `stat` is one number, large; `table` has a line for each series. */
  readonly show?: 'lines' | 'stacked' | 'stat' | 'table';
  readonly max?: number;
  /** `table`: beside the curves, a line for each, with its last and its mean value. A list below them by default. */
  readonly legend?: 'table';
  /** Of 24 columns; 8 where it isn't said. */
  readonly width?: 4 | 6 | 8 | 12 | 24;
}

export interface Dashboard {
  /** Of its file, and in its uid. */
  readonly name: string;
  readonly title: string;
  readonly rows: readonly (readonly Panel[])[];
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
const PROGRAMS = 'namespace="$namespace", kube_aurora_dev_cluster="$cluster"';

/** Labels of the programs of a cluster, as its PodMonitors give them. */
export const COMPUTE = `${PROGRAMS}, kube_aurora_dev_component="compute"`;
export const WRITER = `${COMPUTE}, kube_aurora_dev_role="writer"`;
export const STORAGE = `${PROGRAMS}, kube_aurora_dev_component="storage"`;
/** Labels of what the operator says of a cluster. */
export const CLUSTER = 'namespace="$namespace", cluster="$cluster"';

/** A quantile of a histogram, by pod. */
export function quantile(q: number, histogram: string, labels: string, by = 'pod'): string {
  return `histogram_quantile(${q}, sum by (le, ${by}) (rate(${histogram}_bucket{${labels}}[$__rate_interval])))`;
}

const ROW_HEIGHT = { stat: 4, others: 8 } as const;

/** Grafana's JSON of it. */
export function dashboardJson({ name, title, rows }: Dashboard): string {
  let id = 0;
  let y = 0;
  const panels = rows.flatMap((row) => {
    const h = row.every(({ show }) => show === 'stat') ? ROW_HEIGHT.stat : ROW_HEIGHT.others;
    let x = 0;
    const placed = row.map((panel) => {
      const w = panel.width ?? 8;
      const json = panelJson(panel, ++id, { x, y, w, h });
      x += w;
      return json;
    });
    if (x > 24) throw new RangeError(`a row of ${title} is ${x} columns wide, and there are 24`);
    y += h;
    return placed;
  });
  const dashboard = {
    title,
    uid: `kube-aurora-${name}`,
    tags: ['kube-aurora', 'postgresql'],
    schemaVersion: 39,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    // The crosshair is in all panels at once: what happened at the same moment.
    graphTooltip: 1,
    links: [{ type: 'dashboards', title: 'kube-aurora', tags: ['kube-aurora'], includeVars: true, keepTime: true, asDropdown: false }],
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        variable('namespace', 'label_values(aurora_cluster_phase, namespace)'),
        variable('cluster', 'label_values(aurora_cluster_phase{namespace="$namespace"}, cluster)'),
      ],
    },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 1)}\n`;
}

function variable(name: string, query: string): object {
  return { name, type: 'query', datasource: DATASOURCE, query, refresh: 2 };
}

function panelJson(panel: Panel, id: number, gridPos: object): object {
  const { title, description, unit, queries, show = 'lines', max, legend } = panel;
  const isTable = show === 'table';
  return {
    id,
    title,
    description,
    type: show === 'stat' ? 'stat' : isTable ? 'table' : 'timeseries',
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max === undefined ? {} : { max }),
        ...(show === 'stacked' ? { custom: { stacking: { mode: 'normal' }, fillOpacity: 70, lineWidth: 0 } } : {}),
      },
      overrides: queries.filter(({ isLimit }) => isLimit).map(({ legend }) => limitLine(legend)),
    },
    ...(show === 'stat' ? { options: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' } } : {}),
    ...(legend === 'table'
      ? { options: { legend: { showLegend: true, displayMode: 'table', placement: 'right', calcs: ['lastNotNull', 'mean'] } } }
      : {}),
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      expr,
      legendFormat: legend,
      ...(isTable ? { format: 'table', instant: true } : {}),
    })),
    ...(isTable ? { transformations: [{ id: 'merge', options: {} }] } : {}),
  };
}

function limitLine(legend: string): object {
  return {
    matcher: { id: 'byName', options: legend },
    properties: [
      { id: 'custom.stacking', value: { mode: 'none' } },
      { id: 'custom.fillOpacity', value: 0 },
      { id: 'custom.lineWidth', value: 2 },
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [10, 10] } },
      { id: 'color', value: { mode: 'fixed', fixedColor: 'red' } },
    ],
  };
}
