import type { TargetedKeyboardEvent, TargetedPointerEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { areaPath, linePath, runs, scales, stacked, ticks, timeTicks, type Frame } from '../model/geometry.ts';
import { firstOf, HOUR_MS, spanMs, type Hour } from '../model/hour.ts';
import { clock, moment, UNKNOWN } from '../model/words.ts';

export interface ChartSeries {
  readonly name: string;
  readonly label: string;
  /** Which of the chart colours. */
  readonly colour: number;
  readonly values: readonly (number | null)[];
}

export interface ChartMark {
  readonly at: number;
  readonly label: string;
}

export interface ChartProps {
  readonly title: string;
  readonly about: string;
  readonly kind: 'lines' | 'layers';
  readonly series: readonly ChartSeries[];
  readonly hour: Hour | undefined;
  readonly format: (value: number | null) => string;
  /** Top of the scale at the least. */
  readonly floor: number;
  readonly base?: 2 | 10;
  readonly limit?: { readonly label: string; readonly value: number } | undefined;
  readonly marks: readonly ChartMark[];
  /** Which step is looked at, on all charts; null: the newest. */
  readonly cursor: number | null;
  readonly onCursor: (step: number | null) => void;
  readonly empty: string;
}

const HEIGHT = 168;

/** One picture of the last hour. What is pointed at, or reached with the arrow keys, is told in numbers beside the names. */
export function Chart(props: ChartProps) {
  const { title, about, kind, series, hour, format, floor, base = 10, limit, marks, cursor, onCursor, empty } = props;
  const [width, place] = useWidth();
  const shown = series.filter(({ values }) => values.some((value) => value !== null));
  const length = hour?.length ?? 0;
  const endAt = hour?.endAt ?? 0;
  const stepMs = hour?.stepMs ?? 1;
  const firstAt = hour === undefined ? 0 : firstOf(hour);
  const index = cursor === null ? length - 1 : Math.round((cursor - firstAt) / stepMs);
  const edges =
    kind === 'layers'
      ? stacked(
          shown.map(({ values }) => values),
          length,
        )
      : shown.map(({ values }) => values);
  const highest = Math.max(0, ...edges.flatMap((values) => values.map((value) => value ?? 0)), limit?.value ?? 0);
  const levels = ticks(highest, floor, base);
  const labelled = levels.map((level) => format(level));
  const frame: Frame = {
    width,
    height: HEIGHT,
    left: 10 + 6.4 * Math.max(...labelled.map(({ length: letters }) => letters)),
    right: 8,
    top: 8,
    bottom: 22,
  };
  const span = hour === undefined ? HOUR_MS : spanMs(hour);
  const from = endAt - span;
  const scale = scales(frame, from, endAt, levels.at(-1) ?? 1);
  const isWithin = cursor !== null && index >= 0 && index < length;
  const at = firstAt + index * stepMs;

  const point = (event: TargetedPointerEvent<SVGSVGElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * width - frame.left) / (width - frame.left - frame.right);
    const step = Math.round((from + Math.min(1, Math.max(0, share)) * span - firstAt) / stepMs);
    onCursor(firstAt + Math.min(length - 1, Math.max(0, step)) * stepMs);
  };
  const keys = (event: TargetedKeyboardEvent<SVGSVGElement>): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -length, End: length }[event.key];
    if (event.key === 'Escape') onCursor(null);
    if (by === undefined) return;
    event.preventDefault();
    onCursor(firstAt + Math.min(length - 1, Math.max(0, index + by)) * stepMs);
  };
  const told = shown.map(({ label, values }) => `${label} ${format(values[index] ?? null)}`).join(', ');

  return (
    <figure class="panel chart" ref={place}>
      <figcaption>
        <h2>{title}</h2>
        <p class="quiet">{isWithin ? `at ${moment(at, endAt)} UTC` : about}</p>
      </figcaption>
      {hour === undefined || shown.length === 0 ? (
        <p class="empty chart-empty">{empty}</p>
      ) : (
        <>
          <svg
            class="plot"
            width={width}
            height={HEIGHT}
            viewBox={`0 0 ${width} ${HEIGHT}`}
            tabIndex={0}
            role="slider"
            aria-label={`${title}, last hour; arrow keys move through it`}
            aria-valuemin={0}
            aria-valuemax={length - 1}
            aria-valuenow={index}
            aria-valuetext={`${clock(at)} UTC: ${told}`}
            onPointerMove={point}
            onPointerLeave={() => onCursor(null)}
            onKeyDown={keys}
            onBlur={() => onCursor(null)}
          >
            {levels.map((level, row) => (
              <g key={level}>
                <line
                  class={row === 0 ? 'axis' : 'grid'}
                  x1={frame.left}
                  x2={width - frame.right}
                  y1={scale.y(level)}
                  y2={scale.y(level)}
                />
                <text class="tick" x={frame.left - 6} y={scale.y(level) + 4} text-anchor="end">
                  {labelled[row]}
                </text>
              </g>
            ))}
            {timeTicks(from, endAt, Math.max(2, width / 90)).map((mark) => (
              <text key={mark} class="tick" x={Math.min(scale.x(mark), width - 18)} y={HEIGHT - 6} text-anchor="middle">
                {clock(mark)}
              </text>
            ))}
            {kind === 'layers'
              ? shown.map(({ name, colour }, layer) => {
                  const below = edges[layer - 1];
                  const baseOf = (time: number): number => below?.[Math.round((time - firstAt) / stepMs)] ?? 0;
                  return (
                    <path
                      key={name}
                      class={`area colour-${colour}`}
                      d={areaPath(runs(edges[layer] ?? [], firstAt, stepMs), baseOf, scale)}
                    />
                  );
                })
              : shown.map(({ name, colour, values }) => (
                  <path key={name} class={`line colour-${colour}`} d={linePath(runs(values, firstAt, stepMs), scale)} />
                ))}
            {limit !== undefined && (
              <g>
                <line class="limit" x1={frame.left} x2={width - frame.right} y1={scale.y(limit.value)} y2={scale.y(limit.value)} />
                <text class="limit-label" x={width - frame.right} y={scale.y(limit.value) - 5} text-anchor="end">
                  {limit.label}
                </text>
              </g>
            )}
            {marks
              .filter((mark) => mark.at >= from && mark.at <= endAt)
              .map((mark) => (
                <g key={mark.at} class="event-mark">
                  <line x1={scale.x(mark.at)} x2={scale.x(mark.at)} y1={frame.top} y2={HEIGHT - frame.bottom} />
                  <path d={`M${scale.x(mark.at)} ${frame.top}l-4 -6h8Z`} />
                  <title>{mark.label}</title>
                </g>
              ))}
            {isWithin && <line class="cursor" x1={scale.x(at)} x2={scale.x(at)} y1={frame.top} y2={HEIGHT - frame.bottom} />}
          </svg>
          <ul class="legend">
            {(kind === 'layers' ? shown.toReversed() : shown).map(({ name, label, colour, values }) => (
              <li key={name}>
                <svg class={`swatch colour-${colour}`} width="10" height="10" aria-hidden="true" focusable="false">
                  <rect width="10" height="10" rx="2" />
                </svg>
                {label} <span class="number">{index >= 0 && index < length ? format(values[index] ?? null) : UNKNOWN}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </figure>
  );
}

/** As wide as its place is, and drawn anew when that changes. */
function useWidth(): [number, (element: HTMLElement | null) => void] {
  const [width, setWidth] = useState(560);
  const element = useRef<HTMLElement | null>(null);
  useEffect(() => {
    const watched = element.current;
    if (watched === null) return undefined;
    const measure = (): void => {
      const style = getComputedStyle(watched);
      setWidth(Math.max(200, Math.floor(watched.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight))));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(watched);
    return () => observer.disconnect();
  }, []);
  return [width, (found) => (element.current = found)];
}
