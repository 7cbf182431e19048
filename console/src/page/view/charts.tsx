import { useState } from 'preact/hooks';
import { OTHER_LOAD, SERIES, type ClusterAnswer } from '../../answers/answers.ts';
import { average, family, type Hour } from '../model/hour.ts';
import { loadColours } from '../model/load-colours.ts';
import { bytes, count, duration, perSecond, REASON_WORDS, shortName } from '../model/words.ts';
import { Chart, type ChartMark, type ChartSeries } from './chart.tsx';

const SOON = 'The first figures come after twenty seconds.';
const NONE = 'No writer has told of this in the last hour.';

/** The last hour in four pictures over one time: what is pointed at in one is told in all. */
export function Charts({ cluster, hour }: { readonly cluster: ClusterAnswer; readonly hour: Hour | undefined }) {
  const [cursor, setCursor] = useState<number | null>(null);
  const one = (name: string, label: string, colour: number): ChartSeries => ({ name, label, colour, values: hour?.series[name] ?? [] });
  const marks = cluster.handovers.map(({ at, kind, from, to, reason }): ChartMark => ({
    at: Date.parse(at),
    label: `${kind} from ${from ?? '?'} to ${to}${reason === null ? '' : `: ${REASON_WORDS[reason] ?? reason}`}`,
  }));
  const events = family(hour, SERIES.load).toSorted((a, b) => order(a) - order(b));
  const colours = loadColours(events.map(([event]) => event));
  const load = events.map(([event, values]): ChartSeries => ({
    name: event,
    label: event.replace(':', ': '),
    colour: colours.get(event) ?? 7,
    values,
  }));
  const limit = hour?.series[SERIES.cpuLimit]?.findLast((value) => value !== null) ?? undefined;
  const segments = family(hour, SERIES.segmentLag).toSorted(byName);
  const readers = family(hour, SERIES.readerLag).toSorted(byName);
  const named = ([name, values]: readonly [string, readonly (number | null)[]], index: number): ChartSeries => ({
    name,
    label: shortName(name, cluster.name),
    colour: index % 8,
    values,
  });
  const common = { hour, marks, cursor, onCursor: setCursor, empty: (hour?.length ?? 0) < 3 ? SOON : NONE };
  return (
    <section class="charts" aria-label="The last hour">
      <Chart
        {...common}
        title="Commit latency"
        about="from a flush of WAL until a write quorum has it"
        kind="lines"
        series={[one(SERIES.commitP99, '99 of 100', 1), one(SERIES.commitP50, 'half', 0)]}
        format={duration}
        floor={2}
      />
      <Chart
        {...common}
        title="Database load"
        about="the writer’s sessions at work, by what they wait for"
        kind="layers"
        series={load}
        format={count}
        floor={1}
        limit={limit === undefined ? undefined : { label: `${count(limit)} vCPU`, value: limit }}
      />
      <Chart
        {...common}
        title="Transactions"
        about="that committed at the writer"
        kind="lines"
        series={[one(SERIES.transactions, 'commits', 0)]}
        format={perSecond}
        floor={10}
      />
      <Chart
        {...common}
        title="SCL lag of the copies"
        about="redo that a copy has yet to get"
        kind="lines"
        series={segments.map(named)}
        format={bytes}
        floor={65_536}
        base={2}
      />
      {readers.length > 0 && (
        <Chart
          {...common}
          title="Lag of the readers"
          about="how old what they show is"
          kind="lines"
          series={readers.map(named)}
          format={duration}
          floor={20}
        />
      )}
    </section>
  );
}

/** CPU at the bottom, what is left over at the top, the busiest of the others first. */
function order([event, values]: readonly [string, readonly (number | null)[]]): number {
  return event === 'CPU' ? -Infinity : event === OTHER_LOAD ? Infinity : -average(values);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
