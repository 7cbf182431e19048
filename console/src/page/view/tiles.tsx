import { SERIES, type ClusterAnswer } from '../../answers/answers.ts';
import { linePath, runs, scales, stacked, type Frame } from '../model/geometry.ts';
import { family, firstOf, spanMs, type Hour } from '../model/hour.ts';
import { bytes, bytesPerSecond, count, duration, perSecond, UNKNOWN } from '../model/words.ts';

const FRAME: Frame = { width: 160, height: 34, left: 1, right: 1, top: 3, bottom: 3 };

/** What the writer does now, each figure with its last hour as a line. */
export function Tiles({ cluster, hour }: { readonly cluster: ClusterAnswer; readonly hour: Hour | undefined }) {
  const { now } = cluster;
  return (
    <section class="tiles" aria-label="What the writer does now">
      <Tile
        label="Commit latency"
        value={duration(now?.commitP50Ms ?? null)}
        note={`99 % within ${duration(now?.commitP99Ms ?? null)}`}
        hour={hour}
        series={SERIES.commitP50}
      />
      <Tile
        label="Transactions"
        value={perSecond(now?.transactionsPerSecond ?? null)}
        note="that committed"
        hour={hour}
        series={SERIES.transactions}
      />
      <Tile label="Redo" value={bytesPerSecond(now?.redoBytesPerSecond ?? null)} note="made durable" hour={hour} series={SERIES.redo} />
      <Tile
        label="Load"
        value={count(now?.load ?? null)}
        note={`sessions at work, ${now?.cpuLimit == null ? UNKNOWN : count(now.cpuLimit)} vCPU`}
        hour={hour}
        values={loadValues(hour)}
      />
      <Tile
        label="Connections"
        value={count(now?.connections ?? null)}
        note={now?.connectionsLimit == null ? 'of clients' : `of ${count(now.connectionsLimit)} at most`}
        hour={hour}
        series={SERIES.connections}
      />
      <Tile label="Volume" value={bytes(cluster.bytesUsed)} note={`in all copies; each has ${cluster.size ?? UNKNOWN}`} hour={hour} />
    </section>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly note: string;
  readonly hour: Hour | undefined;
  readonly series?: string;
  readonly values?: readonly (number | null)[] | undefined;
}

/** All sessions at work, whatever they wait for. */
function loadValues(hour: Hour | undefined): readonly (number | null)[] | undefined {
  const layers = family(hour, SERIES.load).map(([, values]) => values);
  return hour === undefined || layers.length === 0 ? undefined : stacked(layers, hour.length).at(-1);
}

function Tile({ label, value, note, hour, series, values = series === undefined ? undefined : hour?.series[series] }: TileProps) {
  return (
    <div class="tile">
      <span class="tile-label">{label}</span>
      <span class="tile-value">{value}</span>
      <span class="tile-note">{note}</span>
      {values !== undefined && hour !== undefined && <Spark values={values} hour={hour} />}
    </div>
  );
}

function Spark({ values, hour }: { readonly values: readonly (number | null)[]; readonly hour: Hour }) {
  const highest = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const scale = scales(FRAME, hour.endAt - spanMs(hour), hour.endAt, highest * 1.1);
  return (
    <svg class="spark" viewBox={`0 0 ${FRAME.width} ${FRAME.height}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <path d={linePath(runs(values, firstOf(hour), hour.stepMs), scale)} />
    </svg>
  );
}
