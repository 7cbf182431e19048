import { escapeIdentifier } from 'pg';
import type { Asking, Look } from './look.ts';

const STATEMENTS_MAX = 10;
const TEXT_MAX = 300;

/** It may be in any schema; there is none where nobody said CREATE EXTENSION, or its library is not loaded. */
const FIND = `
  select nspname as schema from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
   where extname = 'pg_stat_statements' and current_setting('shared_preload_libraries') ~ '\\mpg_stat_statements\\M'`;

/** Those of all databases that have taken most time since statistics began. */
const select = (schema: string): string => `
  select queryid::text as "queryId", datname as database, rolname as role, calls::float8 as calls,
         total_exec_time / 1000 as seconds, mean_exec_time as "meanMs", rows::float8 as rows,
         shared_blks_hit::float8 as "buffersHit", shared_blks_read::float8 as "buffersRead",
         temp_blks_written::float8 * current_setting('block_size')::int as "tempBytes", wal_bytes::float8 as "walBytes",
         left(query, 2000) as text
    from ${schema}.pg_stat_statements statements
    left join pg_database on pg_database.oid = statements.dbid
    left join pg_roles on pg_roles.oid = statements.userid
   where queryid is not null
   order by total_exec_time desc limit ${STATEMENTS_MAX}`;

export interface TopStatement {
  readonly queryId: string;
  readonly database: string | null;
  readonly role: string | null;
  readonly calls: number;
  readonly seconds: number;
  readonly meanMs: number;
  readonly rows: number;
  readonly buffersHit: number;
  readonly buffersRead: number;
  readonly tempBytes: number;
  readonly walBytes: number;
  readonly text: string;
}

/** Values of these stand in the text as $1, $2. */
const NORMALISED = /^(select|insert|update|delete|merge|with|values|table)\b/i;

/**
 * The text as it may be shown. PostgreSQL puts $1 in the place of values in queries, and leaves other commands as they were written, with the
 * password in ALTER ROLE ... PASSWORD: of those there are the first two words. Comments go: nobody knows what is in them.
 */
export function shownText(text: string): string {
  const bare = text
    .replaceAll(/\/\*[\s\S]*?(\*\/|$)/g, ' ')
    .replaceAll(/--[^\n]*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  if (!NORMALISED.test(bare)) return bare.split(/[\s;(]/, 2).join(' ');
  return bare.length > TEXT_MAX ? `${bare.slice(0, TEXT_MAX)}…` : bare;
}

export type TopStatements =
  | { readonly kind: 'known'; readonly statements: readonly TopStatement[] }
  | { readonly kind: 'unknown'; readonly why: string };

const NOT_ASKED: TopStatements = { kind: 'unknown', why: 'PostgreSQL was not asked yet' };
const NO_EXTENSION: TopStatements = {
  kind: 'unknown',
  why: 'the database postgres has no extension pg_stat_statements, or its library is not in shared_preload_libraries: say CREATE EXTENSION pg_stat_statements there',
};

/** The statements that take most time, once a minute: PostgreSQL reads a file with all texts for it. */
export class StatementsLook implements Look {
  readonly name = 'statements';
  readonly everyMs = 60_000;
  #top: TopStatements = NOT_ASKED;

  get top(): TopStatements {
    return this.#top;
  }

  async take(client: Asking): Promise<void> {
    const { rows } = await client.query<{ schema: string }>(FIND);
    const [found] = rows;
    if (found === undefined) {
      this.#top = NO_EXTENSION;
      return;
    }
    const { rows: statements } = await client.query<TopStatement>(select(escapeIdentifier(found.schema)));
    this.#top = { kind: 'known', statements: statements.map((one) => ({ ...one, text: shownText(one.text) })) };
  }

  forget(): void {
    this.#top = NOT_ASKED;
  }
}
