/** psql's backslash commands that a first look needs, each one query on the catalogs (or an action of the session). */
export type MetaCommand =
  | { readonly kind: 'query'; readonly sql: string }
  | { readonly kind: 'quit' | 'help' | 'timing' | 'expanded' | 'conninfo' }
  | { readonly kind: 'connect'; readonly database: string }
  | { readonly kind: 'unknown'; readonly message: string };

const RELATION_KINDS = `CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index'
  WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END`;

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function relations(kinds: string): string {
  return `SELECT n.nspname AS "Schema", c.relname AS "Name", ${RELATION_KINDS} AS "Type", pg_get_userbyid(c.relowner) AS "Owner",
    pg_size_pretty(pg_table_size(c.oid)) AS "Size"
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN (${kinds}) AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
    AND pg_table_is_visible(c.oid) ORDER BY 1, 2`;
}

function columns(name: string): string {
  return `SELECT a.attname AS "Column", format_type(a.atttypid, a.atttypmod) AS "Type",
    CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS "Nullable", coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS "Default"
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = ${literal(name)}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;
}

const QUERIES: Readonly<Record<string, string>> = {
  '\\d': relations("'r','p','v','m','S','f'"),
  '\\dt': relations("'r','p'"),
  '\\di': relations("'i','I'"),
  '\\dv': relations("'v','m'"),
  '\\ds': relations("'S'"),
  '\\dn': `SELECT nspname AS "Name", pg_get_userbyid(nspowner) AS "Owner" FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1`,
  '\\du': `SELECT rolname AS "Role name", concat_ws(', ', CASE WHEN rolsuper THEN 'Superuser' END, CASE WHEN rolcreaterole THEN 'Create role' END,
    CASE WHEN rolcreatedb THEN 'Create DB' END, CASE WHEN NOT rolcanlogin THEN 'Cannot login' END) AS "Attributes" FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`,
  '\\dx': `SELECT extname AS "Name", extversion AS "Version", nspname AS "Schema" FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1`,
  '\\l': `SELECT datname AS "Name", pg_get_userbyid(datdba) AS "Owner", pg_encoding_to_char(encoding) AS "Encoding", pg_size_pretty(pg_database_size(oid)) AS "Size" FROM pg_database WHERE datallowconn ORDER BY 1`,
};

export const META_HELP = `  \\d [NAME]  relations, or the columns of one      \\dt \\di \\dv \\ds  tables, indexes, views, sequences
  \\dn  schemas     \\du  roles     \\dx  extensions     \\l  databases
  \\c DATABASE  connect to another database             \\conninfo  where we are connected
  \\timing  how long statements take                    \\x  one column a line
  \\q  quit`;

/** Reads one backslash command. */
export function metaCommand(line: string): MetaCommand {
  const [command = '', argument] = line.trim().replace(/;$/, '').split(/\s+/);
  if (command === '\\q') return { kind: 'quit' };
  if (command === '\\?' || command === '\\h') return { kind: 'help' };
  if (command === '\\timing') return { kind: 'timing' };
  if (command === '\\x') return { kind: 'expanded' };
  if (command === '\\conninfo') return { kind: 'conninfo' };
  if (command === '\\c' || command === '\\connect') {
    return argument === undefined
      ? { kind: 'unknown', message: '\\c needs the name of a database' }
      : { kind: 'connect', database: argument };
  }
  if (command === '\\d' && argument !== undefined) return { kind: 'query', sql: columns(argument) };
  const sql = QUERIES[command.replace(/\+$/, '')];
  if (sql !== undefined) return { kind: 'query', sql };
  return { kind: 'unknown', message: `invalid command ${command}\nTry \\? for help.` };
}
