import type { CustomQuery } from './definition.ts';

/** One value of a column that is a metric. */
export interface Series {
  readonly metric: string;
  readonly help: string;
  readonly isCounter: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Rows of one query that are taken; it says when there are more. */
export const ROWS_MAX = 100;
const LABEL_MAX = 120;

/** The form that every answer has to have; throws with what is wrong with it. */
export function seriesOf({ name, columns }: CustomQuery, database: string, rows: readonly Readonly<Record<string, unknown>>[]): Series[] {
  const labelled = columns.filter(({ usage }) => usage === 'LABEL');
  const measured = columns.filter(({ usage }) => usage === 'GAUGE' || usage === 'COUNTER');
  const [first] = rows;
  const missing = first === undefined ? undefined : columns.find((column) => !(column.name in first));
  if (missing !== undefined) throw new Error(`the answer has no column ${missing.name}`);
  return rows.flatMap((row) => {
    const labels = Object.fromEntries(labelled.map((column) => [column.name, textOf(row[column.name]).slice(0, LABEL_MAX)]));
    return measured.flatMap((column): Series[] => {
      const given = row[column.name];
      if (given === null) return [];
      const value = Number(given);
      if (textOf(given) === '' || Number.isNaN(value))
        throw new Error(`column ${column.name} is '${textOf(given).slice(0, 40)}', and no number`);
      return [
        {
          metric: `aurora_custom_${name}_${column.name}`,
          help: column.description === '' ? `${column.name} of the query ${name}` : column.description,
          isCounter: column.usage === 'COUNTER',
          labels: { database, ...labels },
          value,
        },
      ];
    });
  });
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : '';
}

/** Of all queries together: what a scrape may grow by. */
const SERIES_MAX = 1000;
const BYTES_MAX = 100 * 1024;
export const OVER_BOUNDS = `its series are left out: all queries together may have ${SERIES_MAX}, and ${BYTES_MAX / 1024} KiB of them`;

/**
 * Of each query the series that are shown: all of them, or none where they do not fit beside those of the queries before it. Half an answer would be
 * taken for a whole one.
 */
export function withinBounds(queries: readonly (readonly Series[])[]): (readonly Series[] | 'over')[] {
  let count = 0;
  let bytes = 0;
  return queries.map((series) => {
    if (count + series.length > SERIES_MAX) return 'over';
    const size = series.reduce((sum, one) => sum + bytesOf(one), 0);
    if (bytes + size > BYTES_MAX) return 'over';
    count += series.length;
    bytes += size;
    return series;
  });
}

/** Of its line in a scrape. */
function bytesOf({ metric, labels, value }: Series): number {
  // JSON escapes what the text format does, and more.
  return Buffer.byteLength(`${metric}${JSON.stringify(labels)} ${value}\n`);
}
