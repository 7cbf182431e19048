import { parseDocument } from 'yaml';

/**
 * A cluster's own queries, in the form that users of CloudNativePG and postgres_exporter know: YAML, by name a query and what its columns are.
 *
 *     orders:
 *       query: select state, count(*) as open from orders group by state
 *       metrics:
 *         - state: { usage: LABEL, description: What the orders wait for }
 *         - open: { usage: GAUGE, description: Orders }
 */

export const USAGES = ['GAUGE', 'COUNTER', 'LABEL', 'DISCARD'] as const;
export type Usage = (typeof USAGES)[number];

export interface Column {
  readonly name: string;
  readonly usage: Usage;
  readonly description: string;
}

export interface CustomQuery {
  readonly name: string;
  readonly sql: string;
  readonly columns: readonly Column[];
  /** Undefined: the application's. */
  readonly databases: readonly string[] | undefined;
  /** Asked on the writer alone. */
  readonly isWritersOnly: boolean;
  readonly everyMs: number;
}

/** Queries that can be asked, and why others cannot. */
export interface ReadQueries {
  readonly queries: readonly CustomQuery[];
  readonly problems: readonly string[];
}

const QUERIES_MAX = 50;
const COLUMNS_MAX = 20;
const DATABASES_MAX = 20;
const SQL_MAX = 10_000;
const EVERY_S_MIN = 30;
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/;
const KEYS = new Set(['query', 'metrics', 'target_databases', 'primary', 'cache_seconds']);

/** Something that a query says and that cannot be. */
class Refused extends Error {}

/** Reads all files of the ConfigMap. A query that cannot be understood is left out, and the others are asked. */
export function readQueries(files: ReadonlyMap<string, string>): ReadQueries {
  const queries = new Map<string, CustomQuery>();
  const problems: string[] = [];
  for (const [file, text] of files) {
    const document = parseDocument(text);
    const [mistake] = document.errors;
    const content: unknown = mistake === undefined ? document.toJS({ maxAliasCount: 0 }) : undefined;
    if (mistake !== undefined) problems.push(`${file}: ${mistake.message.split('\n')[0] ?? ''}`);
    else if (content !== null && !isMap(content)) problems.push(`${file}: has to be a map of queries by name`);
    for (const [name, value] of Object.entries(isMap(content) ? content : {})) {
      try {
        if (queries.has(name)) throw new Refused('is there twice');
        if (queries.size >= QUERIES_MAX) throw new Refused(`is one too many: ${QUERIES_MAX} are asked`);
        queries.set(name, queryOf(name, value));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        problems.push(`${file}: ${name}: ${error.message}`);
      }
    }
  }
  return { queries: [...queries.values()], problems };
}

function queryOf(name: string, value: unknown): CustomQuery {
  if (!NAME.test(name)) throw new Refused('its name becomes a part of metrics: letters, digits and underscores');
  if (!isMap(value)) throw new Refused('needs query and metrics');
  const unknown = Object.keys(value).find((key) => !KEYS.has(key));
  if (unknown !== undefined) throw new Refused(`'${unknown}' is not known here; there are ${[...KEYS].join(', ')}`);
  const { query, metrics, target_databases: databases, primary, cache_seconds: seconds } = value;
  if (typeof query !== 'string' || query.trim() === '') throw new Refused('query has to be a text of SQL');
  if (query.length > SQL_MAX) throw new Refused(`query is longer than ${SQL_MAX} characters`);
  if (primary !== undefined && typeof primary !== 'boolean') throw new Refused('primary has to be true or false');
  if (seconds !== undefined && !(typeof seconds === 'number' && seconds >= 0 && seconds <= 86_400))
    throw new Refused('cache_seconds has to be a number of seconds up to 86400');
  if (databases !== undefined && !(isTexts(databases) && databases.length > 0 && databases.length <= DATABASES_MAX))
    throw new Refused(`target_databases has to be a list of one to ${DATABASES_MAX} names; patterns are not known here`);
  return {
    name,
    sql: query.trim().replace(/;\s*$/, ''),
    columns: columnsOf(metrics),
    databases,
    isWritersOnly: primary === true,
    everyMs: Math.max(EVERY_S_MIN, typeof seconds === 'number' ? seconds : 0) * 1000,
  };
}

function columnsOf(metrics: unknown): Column[] {
  if (!Array.isArray(metrics) || metrics.length === 0) throw new Refused('metrics has to be a list of the columns');
  if (metrics.length > COLUMNS_MAX) throw new Refused(`metrics has more than ${COLUMNS_MAX} columns`);
  const columns = metrics.map((entry: unknown): Column => {
    const [first, ...others] = Object.entries(isMap(entry) ? entry : {});
    if (first === undefined || others.length > 0)
      throw new Refused('each entry of metrics has to be one column, as "- total: { usage: GAUGE }"');
    const [name, told] = first;
    if (!NAME.test(name)) throw new Refused(`column '${name}': its name becomes a part of a metric: letters, digits and underscores`);
    const { usage, description = '' } = isMap(told) ? told : {};
    const known = USAGES.find((one) => one === usage);
    if (known === undefined) throw new Refused(`column ${name}: usage has to be one of ${USAGES.join(', ')}`);
    if (typeof description !== 'string') throw new Refused(`column ${name}: description has to be a text`);
    return { name, usage: known, description: description.slice(0, 500) };
  });
  if (new Set(columns.map(({ name }) => name)).size < columns.length) throw new Refused('a column is there twice');
  if (columns.some(({ name, usage }) => usage === 'LABEL' && name === 'database'))
    throw new Refused("no label may be called 'database': each series has one");
  if (!columns.some(({ usage }) => usage === 'GAUGE' || usage === 'COUNTER')) throw new Refused('no column is a GAUGE or a COUNTER');
  return columns;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '' && !/[*?[\]]/.test(one));
}
