import { paint, type Screen, type Tone } from './paint.ts';

export type Cell = string | { readonly text: string; readonly tone: Tone };

export interface TableOptions {
  readonly indent?: string;
  /** Columns, by their headers, whose numbers stand at the right. */
  readonly right?: readonly string[];
}

const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);
const toneOf = (cell: Cell): Tone => (typeof cell === 'string' ? 'plain' : cell.tone);

/**
 * Rows under headers, as kubectl sets them: three spaces between, no lines. Columns without a word in them are left out. The last one is cut
 * where the screen ends.
 */
export function table(
  screen: Screen,
  headers: readonly string[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions = {},
): string[] {
  const { indent = '', right = [] } = options;
  const shown = headers.map((_, index) => rows.some((row) => textOf(row[index] ?? '') !== ''));
  const pick = <T>(row: readonly T[]): readonly T[] => row.filter((_, index) => shown[index] === true);
  const titles = pick(headers);
  const cells = rows.map((row) => pick(headers.map((_, index) => row[index] ?? '')));
  const widths = titles.map((title, index) => Math.max(title.length, ...cells.map((row) => textOf(row[index] ?? '').length)));
  const last = titles.length - 1;
  const line = (row: readonly Cell[]): string => {
    let used = indent.length;
    const parts = row.map((cell, index) => {
      const width = widths[index] ?? 0;
      const whole = textOf(cell);
      const text = index === last ? cut(whole, screen.width - used) : whole;
      const room = ' '.repeat(Math.max(0, width - text.length));
      used += width + GAP.length;
      const painted = paint(screen, toneOf(cell), text);
      return right.includes(titles[index] ?? '') ? `${room}${painted}` : index === last ? painted : `${painted}${room}`;
    });
    return `${indent}${parts.join(GAP)}`.trimEnd();
  };
  return [line(titles.map((text) => ({ text, tone: 'dim' }))), ...cells.map(line)];
}

const GAP = '   ';

/** With an ellipsis where something is missing. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 2 ? text.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}…`;
}
