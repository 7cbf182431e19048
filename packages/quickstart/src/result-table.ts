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

/** Type oids that psql right-aligns (pg_type.dat): int2, int4, int8, oid, xid, cid, float4, float8, money, numeric, xid8. */
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
  return table.rows
    .map((row, index) => {
      const head = `-[ RECORD ${index + 1} ]`;
      const lines = table.columns.map((column, i) => `${pad(column.name, names, false)} | ${row[i] ?? ''}`);
      return [head.padEnd(names + 1, '-') + (head.length > names + 1 ? '' : '+') + '-'.repeat(values + 1), ...lines].join('\n');
    })
    .join('\n');
}

export function formatTable(table: ResultTable, style: TableStyle): string {
  const count = `(${table.rows.length} row${table.rows.length === 1 ? '' : 's'})`;
  if (style.expanded) return table.rows.length === 0 ? count : `${expanded(table)}\n`;
  if (style.unaligned) {
    const lines = table.rows.map((row) => row.map((value) => value ?? '').join('|'));
    return style.tuplesOnly ? lines.join('\n') : [table.columns.map((column) => column.name).join('|'), ...lines, count].join('\n');
  }
  const sizes = table.columns.map((column, i) => Math.max(width(column.name), ...table.rows.map((row) => width(row[i] ?? ''))));
  const centre = (text: string, size: number): string => {
    const left = Math.floor((size - [...text].length) / 2);
    return pad(' '.repeat(left) + text, size, false);
  };
  const body = table.rows.map((row) => {
    const cells = row.map((value) => (value ?? '').split('\n'));
    const height = Math.max(1, ...cells.map((lines) => lines.length));
    return Array.from({ length: height }, (_unused, line) =>
      cells
        .map((lines, i) => {
          const more = line < lines.length - 1 ? '+' : ' ';
          return ` ${pad(lines[line] ?? '', sizes[i] ?? 0, RIGHT_ALIGNED.has(table.columns[i]?.typeOid ?? 0))}${more}`;
        })
        .join('|')
        .trimEnd(),
    ).join('\n');
  });
  if (style.tuplesOnly) return body.join('\n');
  const header = table.columns.map((column, i) => ` ${centre(column.name, sizes[i] ?? 0)} `).join('|');
  const rule = sizes.map((size) => '-'.repeat(size + 2)).join('+');
  return [header, rule, ...body, count, ''].join('\n');
}
