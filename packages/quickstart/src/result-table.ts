/** Prints results the way psql does: aligned columns, numbers to the right, `(2 rows)` below. */
export interface ResultTable {
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface TableStyle {
  readonly tuplesOnly: boolean;
  readonly unaligned: boolean;
  readonly expanded: boolean;
}

/**
 * Type oids that psql right-aligns (pg_type.dat): int2, int4, int8, oid, xid, cid, float4, float8, money, numeric,
 * xid8.
 */
const RIGHT_ALIGNED = new Set([20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069]);

function width(text: string): number {
  return Math.max(...text.split('\n').map((line) => [...line].length));
}

function pad(text: string, size: number, right: boolean): string {
  const blanks = ' '.repeat(Math.max(0, size - [...text].length));
  return right ? blanks + text : text + blanks;
}

function expanded(table: ResultTable): string {
  const names = Math.max(0, ...table.columns.map((column) => width(column.name)));
  const values = Math.max(0, ...table.rows.flat().map((value) => width(value ?? '')));
  const rule = `${'-'.repeat(names + 1)}+${'-'.repeat(values + 1)}`;
  return table.rows
    .map((row, index) => {
      const head = `-[ RECORD ${index + 1} ]`;
      const lines = table.columns.flatMap((column, i) => {
        const parts = (row[i] ?? '').split('\n');
        return parts.map((part, line) => {
          const more = line < parts.length - 1;
          return `${pad(line === 0 ? column.name : '', names, false)} | ${more ? `${pad(part, values, false)}+` : part}`;
        });
      });
      return [head + rule.slice(head.length), ...lines].join('\n');
    })
    .join('\n');
}

/**
 * What stands around a table: psql's lists have a title, descriptions have lines below instead of the number of rows.
 */
export interface Surroundings {
  readonly title?: string;
  /** In place of the number of rows. */
  readonly footers?: readonly string[];
}

export function formatTable(table: ResultTable, style: TableStyle, around: Surroundings = {}): string {
  const footers = around.footers ?? [`(${table.rows.length} row${table.rows.length === 1 ? '' : 's'})`];
  const titles = around.title === undefined || style.tuplesOnly ? [] : [around.title];
  if (style.expanded) {
    if (table.rows.length === 0) return [...titles, ...footers, ''].join('\n');
    return [...titles, expanded(table), ...(around.footers ?? []), ''].join('\n');
  }
  if (style.unaligned) {
    const lines = table.rows.map((row) => row.map((value) => value ?? '').join('|'));
    return style.tuplesOnly
      ? lines.join('\n')
      : [...titles, table.columns.map((column) => column.name).join('|'), ...lines, ...footers].join('\n');
  }
  const sizes = table.columns.map((column, i) => Math.max(width(column.name), ...table.rows.map((row) => width(row[i] ?? ''))));
  const total = sizes.reduce((sum, size) => sum + size + 3, -1);
  const body = table.rows.map((row) => alignedRow(row, table, sizes));
  if (style.tuplesOnly) return [...body, ''].join('\n');
  const header = table.columns.map((column, i) => ` ${centre(column.name, sizes[i] ?? 0)} `).join('|');
  const rule = sizes.map((size) => '-'.repeat(size + 2)).join('+');
  const centred = titles.map((title) => ' '.repeat(Math.max(0, Math.floor((total - title.length) / 2))) + title);
  return [...centred, header, rule, ...body, ...footers, ''].join('\n');
}

function centre(text: string, size: number): string {
  const left = Math.floor((size - [...text].length) / 2);
  return pad(' '.repeat(left) + text, size, false);
}

/**
 * A row of cells; one with several lines goes on below, marked with a plus. The last column has no blanks behind it.
 */
function alignedRow(row: readonly (string | null)[], table: ResultTable, sizes: readonly number[]): string {
  const cells = row.map((value) => (value ?? '').split('\n'));
  const height = Math.max(1, ...cells.map((lines) => lines.length));
  return Array.from({ length: height }, (_unused, line) =>
    cells
      .map((lines, i) => {
        const right = RIGHT_ALIGNED.has(table.columns[i]?.typeOid ?? 0);
        const more = line < lines.length - 1;
        const text = lines[line] ?? '';
        if (i === cells.length - 1 && !right && !more) return ` ${text}`;
        return ` ${pad(text, sizes[i] ?? 0, right)}${more ? '+' : i === cells.length - 1 ? '' : ' '}`;
      })
      .join('|'),
  ).join('\n');
}
