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
