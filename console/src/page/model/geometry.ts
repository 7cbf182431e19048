/** Where things of a chart are drawn. Pure numbers and SVG paths. */

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Scales {
  readonly x: (at: number) => number;
  readonly y: (value: number) => number;
}

export function scales(frame: Frame, from: number, to: number, max: number): Scales {
  const width = frame.width - frame.left - frame.right;
  const height = frame.height - frame.top - frame.bottom;
  return {
    x: (at) => frame.left + ((at - from) / Math.max(1, to - from)) * width,
    y: (value) => frame.top + height - (Math.min(value, max) / max) * height,
  };
}

/** Round numbers from nought to just past `highest`: three to five of them. `floor`: what the top is at the least. Bytes go by powers of two. */
export function ticks(highest: number, floor: number, base: 10 | 2 = 10): readonly number[] {
  const top = Math.max(highest, floor);
  const steps = base === 10 ? [1, 2, 2.5, 5, 10] : [1, 2, 4, 8, 16];
  const power = base === 10 ? 10 ** Math.floor(Math.log10(top / 4)) : 16 ** Math.floor(Math.log(top / 4) / Math.log(16));
  const step = (steps.find((one) => (one * power * 4) / top >= 1) ?? 10) * power;
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** Every so many minutes, at full ones: as many as there is room for. */
export function timeTicks(from: number, to: number, room: number): readonly number[] {
  const minutes = [1, 2, 5, 10, 15, 20, 30, 60].find((one) => (to - from) / (one * 60_000) <= room) ?? 60;
  const step = minutes * 60_000;
  const marks: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) marks.push(at);
  return marks;
}

export interface Point {
  readonly at: number;
  readonly value: number;
}

/** Runs of values that are known; a step that is not known parts them. */
export function runs(values: readonly (number | null)[], firstAt: number, stepMs: number): readonly (readonly Point[])[] {
  const found: Point[][] = [];
  let current: Point[] | undefined;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      current = undefined;
      continue;
    }
    if (current === undefined) found.push((current = []));
    current.push({ at: firstAt + index * stepMs, value });
  }
  return found;
}

const digits = (value: number): string => String(Math.round(value * 10) / 10);

/** A line through what is known. One step alone is a dot, drawn by the line's round end. */
export function linePath(lines: readonly (readonly Point[])[], { x, y }: Scales): string {
  return lines
    .map((points) => {
      const path = points.map(({ at, value }, index) => `${index === 0 ? 'M' : 'L'}${digits(x(at))} ${digits(y(value))}`).join('');
      return points.length === 1 ? `${path}h0.1` : path;
    })
    .join('');
}

/** The area between two lines of the same steps. */
export function areaPath(tops: readonly (readonly Point[])[], baseOf: (at: number) => number, { x, y }: Scales): string {
  return tops
    .map((points) => {
      const there = points.map(({ at, value }, index) => `${index === 0 ? 'M' : 'L'}${digits(x(at))} ${digits(y(value))}`).join('');
      const back = points
        .toReversed()
        .map(({ at }) => `L${digits(x(at))} ${digits(y(baseOf(at)))}`)
        .join('');
      return `${there}${back}Z`;
    })
    .join('');
}

/** Layers on top of one another, the first at the bottom: for each its upper edge. Unknown where none is known. */
export function stacked(layers: readonly (readonly (number | null)[])[], length: number): readonly (readonly (number | null)[])[] {
  const isKnown = Array.from({ length }, (_, index) => layers.some((values) => (values[index] ?? null) !== null));
  let below = Array.from({ length }, () => 0);
  return layers.map((values) => {
    below = below.map((base, index) => base + (values[index] ?? 0));
    return below.map((top, index) => (isKnown[index] === true ? top : null));
  });
}
