import { parsePattern, patternCondition, literal } from './name-pattern.ts';

/** One list of catalog objects, as psql shows it. */
export interface CatalogList {
  readonly title: string;
  readonly sql: string;
  /** Said in place of an empty list. */
  readonly none?: string;
  /** psql ends a few lists without their number of rows. */
  readonly noCount?: boolean;
}

const KINDS = `CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index'
  WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END`;

/** Letters after \d, as psql has them, and the kinds of relations (pg_class.relkind) that they stand for. */
const RELATION_KINDS: Readonly<Record<string, readonly string[]>> = {
  t: ['r', 'p'],
  i: ['i', 'I'],
  v: ['v'],
  m: ['m'],
  s: ['S'],
};

/** `\d`, `\dt`, `\di`, `\dv`, `\dm`, `\ds` and their mixtures, with `+` or not. */
export function relationList(letters: string, more: boolean, patternText: string | undefined): CatalogList | undefined {
  const kinds = (letters === '' ? 'tvms' : letters).split('').map((letter) => RELATION_KINDS[letter]);
  if (kinds.includes(undefined)) return undefined;
  const hidden = patternText === undefined ? ` AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'` : '';
  const columns = [
    `n.nspname AS "Schema"`,
    `c.relname AS "Name"`,
    `${KINDS} AS "Type"`,
    `pg_get_userbyid(c.relowner) AS "Owner"`,
    ...(letters.includes('i') ? [`c2.relname AS "Table"`] : []),
    ...(more
      ? [
          `CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 't' THEN 'temporary' WHEN 'u' THEN 'unlogged' END AS "Persistence"`,
          ...(letters === 'v' || letters === 's' ? [] : [`am.amname AS "Access method"`]),
          `pg_size_pretty(pg_table_size(c.oid)) AS "Size"`,
          `obj_description(c.oid, 'pg_class') AS "Description"`,
        ]
      : []),
  ];
  const tables = letters.includes('i') ? ' LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class c2 ON i.indrelid = c2.oid' : '';
  return {
    title: 'List of relations',
    none: patternText === undefined ? 'Did not find any relations.' : `Did not find any relation named "${patternText}".`,
    sql: `SELECT ${columns.join(', ')}
      FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam${tables}
      WHERE c.relkind IN (${kinds
        .flat()
        .map((kind) => `'${kind ?? ''}'`)
        .join(', ')})${hidden}${patternCondition(parsePattern(patternText), 'c.relname', 'pg_table_is_visible(c.oid)')} ORDER BY 1, 2`,
  };
}

function functionList(more: boolean, patternText: string | undefined): CatalogList {
  const hidden = patternText === undefined ? ` AND n.nspname NOT IN ('pg_catalog', 'information_schema')` : '';
  const details = `, CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' WHEN 'v' THEN 'volatile' END AS "Volatility",
    CASE p.proparallel WHEN 'r' THEN 'restricted' WHEN 's' THEN 'safe' WHEN 'u' THEN 'unsafe' END AS "Parallel",
    pg_get_userbyid(p.proowner) AS "Owner", CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END AS "Security",
    array_to_string(p.proacl, E'\\n') AS "Access privileges", l.lanname AS "Language",
    coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS "Source code", obj_description(p.oid, 'pg_proc') AS "Description"`;
  return {
    title: 'List of functions',
    sql: `SELECT n.nspname AS "Schema", p.proname AS "Name", pg_get_function_result(p.oid) AS "Result data type",
        pg_get_function_arguments(p.oid) AS "Argument data types",
        CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc' ELSE 'func' END AS "Type"${more ? details : ''}
      FROM pg_proc p LEFT JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_language l ON l.oid = p.prolang
      WHERE true${hidden}${patternCondition(parsePattern(patternText), 'p.proname', 'pg_function_is_visible(p.oid)')} ORDER BY 1, 2, 4`,
  };
}

/** ` AND …` on one name that belongs to no schema. */
function named(column: string, patternText: string | undefined): string {
  const { name } = parsePattern(patternText);
  return name === undefined ? '' : ` AND ${column} ~ ${literal(name)}`;
}

/** The list that a backslash command asks for; undefined when it is none. */
export function catalogList(command: string, pattern: string | undefined): CatalogList | undefined {
  const more = command.endsWith('+');
  const plain = command.replace(/[+S]+$/, '');
  switch (plain) {
    case '\\df':
      return functionList(more, pattern);
    case '\\dn':
      return {
        title: 'List of schemas',
        sql: `SELECT nspname AS "Name", pg_get_userbyid(nspowner) AS "Owner" FROM pg_namespace
          WHERE ${pattern === undefined ? `nspname !~ '^pg_' AND nspname <> 'information_schema'` : 'true'}${named('nspname', pattern)} ORDER BY 1`,
      };
    case '\\du':
    case '\\dg':
      return {
        title: 'List of roles',
        noCount: true,
        sql: `SELECT rolname AS "Role name", concat_ws(', ', CASE WHEN rolsuper THEN 'Superuser' END, CASE WHEN NOT rolinherit THEN 'No inheritance' END,
            CASE WHEN rolcreaterole THEN 'Create role' END, CASE WHEN rolcreatedb THEN 'Create DB' END, CASE WHEN NOT rolcanlogin THEN 'Cannot login' END,
            CASE WHEN rolreplication THEN 'Replication' END, CASE WHEN rolbypassrls THEN 'Bypass RLS' END) AS "Attributes"
          FROM pg_roles WHERE ${pattern === undefined ? `rolname !~ '^pg_'` : 'true'}${named('rolname', pattern)} ORDER BY 1`,
      };
    case '\\dx':
      return {
        title: 'List of installed extensions',
        sql: `SELECT e.extname AS "Name", e.extversion AS "Version", n.nspname AS "Schema", obj_description(e.oid, 'pg_extension') AS "Description"
          FROM pg_extension e LEFT JOIN pg_namespace n ON n.oid = e.extnamespace WHERE true${named('e.extname', pattern)} ORDER BY 1`,
      };
    case '\\l':
      return {
        title: 'List of databases',
        sql: `SELECT datname AS "Name", pg_get_userbyid(datdba) AS "Owner", pg_encoding_to_char(encoding) AS "Encoding", datcollate AS "Collate",
            datctype AS "Ctype"${more ? `, CASE WHEN datallowconn THEN pg_size_pretty(pg_database_size(oid)) ELSE 'No Access' END AS "Size"` : ''}
          FROM pg_database WHERE true${named('datname', pattern)} ORDER BY 1`,
      };
    default:
      return /^\\d[tivms]+$/.test(plain) ? relationList(plain.slice(2), more, pattern) : undefined;
  }
}
