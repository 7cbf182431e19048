import type { Finding } from './finding.ts';

/** What concerns tables, indexes and sequences: asked in each database. */

const OURS = "nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and nspname not like 'pg\\_temp%'";
const ROWS_MAX = 10;

/** `reltuples` is -1 until a table was vacuumed or analyzed once; it is in the volume, where statistics end with a failover. */
export const SELECT_TABLES = `
  select stat.relid::regclass::text as name, pg_relation_size(stat.relid)::float8 as bytes, reltuples::float8 as "countedRows",
         n_live_tup::float8 as live, n_dead_tup::float8 as dead
    from pg_stat_user_tables stat join pg_class on pg_class.oid = stat.relid
   where relkind = 'r' and relpersistence = 'p' and (reltuples < 0 or n_dead_tup > 10000)
   order by greatest(n_dead_tup, relpages) desc limit ${ROWS_MAX}`;
export interface TableRow {
  readonly name: string;
  readonly bytes: number;
  /** Negative: nobody has counted. */
  readonly countedRows: number;
  readonly live: number;
  readonly dead: number;
}

/**
 * What a table would have if it were written anew: of each row, as wide as statistics say, its header and its line pointer. Only of those of which every
 * column has statistics, and of some size; long values are in another table, and not looked at.
 */
export const SELECT_BLOAT = `
  with widths as (
    select schemaname, tablename, count(*) as columns, sum((1 - null_frac) * avg_width) as width from pg_stats where not inherited group by 1, 2)
  select pg_class.oid::regclass::text as name, pg_relation_size(pg_class.oid)::float8 as bytes,
         (reltuples * (28 + 8 * ceil(width / 8)) * 8192 / 8168 * 100
           / coalesce(substring(array_to_string(reloptions, ' ') from 'fillfactor=(\\d+)')::int, 100))::float8 as "neededBytes"
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace join widths on schemaname = nspname and tablename = relname
   where relkind = 'r' and relpersistence = 'p' and reltuples >= 0 and relpages > 4096 and ${OURS}
     and columns = (select count(*) from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped)
   order by relpages desc limit ${ROWS_MAX}`;
export interface BloatRow {
  readonly name: string;
  readonly bytes: number;
  readonly neededBytes: number;
}

export const SELECT_UNUSED = `
  select stat.indexrelid::regclass::text as name, stat.relid::regclass::text as "table",
         pg_relation_size(stat.indexrelid)::float8 as bytes,
         extract(epoch from now() - greatest(pg_postmaster_start_time(),
           (select stats_reset from pg_stat_database where datname = current_database())))::float8 as "watchedS"
    from pg_stat_user_indexes stat join pg_index using (indexrelid)
   where idx_scan = 0 and indisvalid and not indisunique and not indisreplident
     and not exists (select from pg_constraint where conindid = stat.indexrelid)
   order by 3 desc limit ${ROWS_MAX}`;
export interface UnusedRow {
  readonly name: string;
  readonly table: string;
  readonly bytes: number;
  /** For how long its use was counted. */
  readonly watchedS: number;
}

/** Of two that are alike in all but their names the one may go that no constraint needs. */
export const SELECT_DUPLICATES = `
  select other.indexrelid::regclass::text as name, kept.indexrelid::regclass::text as same, other.indrelid::regclass::text as "table",
         pg_relation_size(other.indexrelid)::float8 as bytes
    from pg_index other join pg_index kept
      on other.indrelid = kept.indrelid and other.indexrelid <> kept.indexrelid and other.indkey::text = kept.indkey::text
     and other.indclass::text = kept.indclass::text and other.indcollation::text = kept.indcollation::text
     and other.indoption::text = kept.indoption::text and other.indnkeyatts = kept.indnkeyatts
     and coalesce(pg_get_expr(other.indexprs, other.indrelid), '') = coalesce(pg_get_expr(kept.indexprs, kept.indrelid), '')
     and coalesce(pg_get_expr(other.indpred, other.indrelid), '') = coalesce(pg_get_expr(kept.indpred, kept.indrelid), '')
    join pg_class on pg_class.oid = other.indexrelid join pg_class keeps on keeps.oid = kept.indexrelid and keeps.relam = pg_class.relam
    join pg_namespace on pg_namespace.oid = pg_class.relnamespace
   where ${OURS} and other.indisvalid and kept.indisvalid
     and not exists (select from pg_constraint where conindid = other.indexrelid)
     and (kept.indisunique and not other.indisunique or kept.indisunique = other.indisunique
          and (exists (select from pg_constraint where conindid = kept.indexrelid) or kept.indexrelid < other.indexrelid))
   order by 4 desc limit ${ROWS_MAX}`;
export interface DuplicateRow {
  readonly name: string;
  readonly same: string;
  readonly table: string;
  readonly bytes: number;
}

/** One that is being made is not valid either. */
export const SELECT_INVALID = `
  select indexrelid::regclass::text as name, indrelid::regclass::text as "table"
    from pg_index where not indisvalid
     and not exists (select from pg_stat_progress_create_index progress where progress.index_relid = indexrelid)
     and (select relkind from pg_class where oid = indexrelid) = 'i'
   limit ${ROWS_MAX}`;
export interface InvalidRow {
  readonly name: string;
  readonly table: string;
}

export const SELECT_SEQUENCES = `
  select quote_ident(schemaname) || '.' || quote_ident(sequencename) as name, last_value::float8 as "lastValue", max_value::float8 as "maxValue"
    from pg_sequences where increment_by > 0 and not cycle and last_value is not null and last_value > 0.7 * max_value
   order by last_value / max_value::float8 desc limit ${ROWS_MAX}`;
export interface SequenceRow {
  readonly name: string;
  readonly lastValue: number;
  readonly maxValue: number;
}

const DEAD_ROWS = 100_000;
const DEAD_SHARE = 0.25;
const UNCOUNTED_BYTES = 8 * 2 ** 20;
const BLOAT_BYTES = 32 * 2 ** 20;
const BLOAT_SHARE = 0.5;
const UNUSED_BYTES = 8 * 2 ** 20;
const WATCHED_S = 7 * 86_400;
const SEQUENCE_SHARE = 0.8;

const mib = (bytes: number): string => `${Math.max(1, Math.round(bytes / 2 ** 20))} MiB`;
const query = (select: string): string => select.replaceAll(/\s+/g, ' ').trim();

export function deadRows(database: string, rows: readonly TableRow[]): Finding[] {
  return rows
    .filter(({ live, dead }) => dead >= DEAD_ROWS && dead >= DEAD_SHARE * (live + dead))
    .map(({ name, live, dead, bytes }) => ({
      id: 'deadRows',
      severity: 'warning',
      subject: `${database}: ${name}`,
      what: `${Math.round((100 * dead) / (live + dead))} % of the rows in ${name} are dead (${dead}); scans read them, and it grows`,
      numbers: { live, dead, bytes },
      query: query(SELECT_TABLES),
      remedy: `VACUUM ${name}; if vacuum ran and they stay, an old transaction, a slot or a reader's query holds them. autovacuum_vacuum_scale_factor of the table makes it come sooner`,
    }));
}

export function neverAnalyzed(database: string, rows: readonly TableRow[]): Finding[] {
  return rows
    .filter(({ countedRows, bytes }) => countedRows < 0 && bytes >= UNCOUNTED_BYTES)
    .map(({ name, bytes }) => ({
      id: 'neverAnalyzed',
      severity: 'hint',
      subject: `${database}: ${name}`,
      what: `${name} has ${mib(bytes)} and was never analyzed: plans for it are guesses`,
      numbers: { bytes },
      query: query(SELECT_TABLES),
      remedy: `ANALYZE ${name}; where it happens again, autovacuum is off or does not get to it`,
    }));
}

export function bloat(database: string, rows: readonly BloatRow[]): Finding[] {
  return rows
    .filter(({ bytes, neededBytes }) => bytes - neededBytes >= Math.max(BLOAT_BYTES, BLOAT_SHARE * bytes))
    .map(({ name, bytes, neededBytes }) => ({
      id: 'bloat',
      severity: 'hint',
      subject: `${database}: ${name}`,
      what: `${name} has ${mib(bytes)}, and its rows need about ${mib(neededBytes)}: scans read the rest as well`,
      numbers: { bytes, neededBytes: Math.round(neededBytes) },
      query: query(SELECT_BLOAT),
      remedy: `it is used again as rows come; where none will, VACUUM (FULL, ANALYZE) ${name} writes the table anew, and locks it meanwhile`,
    }));
}

export function unusedIndexes(database: string, rows: readonly UnusedRow[]): Finding[] {
  return rows
    .filter(({ bytes, watchedS }) => bytes >= UNUSED_BYTES && watchedS >= WATCHED_S)
    .map(({ name, table, bytes, watchedS }) => ({
      id: 'unusedIndex',
      severity: 'hint',
      subject: `${database}: ${name}`,
      what: `no query on the writer has used ${name} of ${table} (${mib(bytes)}) in ${Math.floor(watchedS / 86_400)} days; each write keeps it up`,
      numbers: { bytes, watchedSeconds: Math.round(watchedS) },
      query: query(SELECT_UNUSED),
      remedy: `ask the same on the readers, which count for themselves; then DROP INDEX CONCURRENTLY ${name}`,
    }));
}

export function duplicateIndexes(database: string, rows: readonly DuplicateRow[]): Finding[] {
  return rows.map(({ name, same, table, bytes }) => ({
    id: 'duplicateIndex',
    severity: 'hint',
    subject: `${database}: ${name}`,
    what: `${name} (${mib(bytes)}) indexes the same of ${table} as ${same}`,
    numbers: { bytes },
    query: query(SELECT_DUPLICATES),
    remedy: `DROP INDEX CONCURRENTLY ${name}`,
  }));
}

export function invalidIndexes(database: string, rows: readonly InvalidRow[]): Finding[] {
  return rows.map(({ name, table }) => ({
    id: 'invalidIndex',
    severity: 'warning',
    subject: `${database}: ${name}`,
    what: `${name} of ${table} was left unfinished by CREATE INDEX CONCURRENTLY: no query uses it, and each write keeps it up`,
    numbers: {},
    query: query(SELECT_INVALID),
    remedy: `DROP INDEX CONCURRENTLY ${name}, or REINDEX INDEX CONCURRENTLY ${name}`,
  }));
}

export function sequences(database: string, rows: readonly SequenceRow[]): Finding[] {
  return rows
    .filter(({ lastValue, maxValue }) => lastValue >= SEQUENCE_SHARE * maxValue)
    .map(({ name, lastValue, maxValue }) => ({
      id: 'sequenceEnds',
      severity: lastValue >= 0.95 * maxValue ? 'critical' : 'warning',
      subject: `${database}: ${name}`,
      what: `the sequence ${name} has used ${Math.floor((100 * lastValue) / maxValue)} % of its numbers; at its end inserts fail`,
      numbers: { lastValue, maxValue },
      query: query(SELECT_SEQUENCES),
      remedy: `make its column a bigint and ALTER SEQUENCE ${name} AS bigint`,
    }));
}
