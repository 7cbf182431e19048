import type { Asking, Look } from './look.ts';

/** Slots that have a series; those that retain most. */
const SLOTS_MAX = 20;

const SELECT = `
  select sum(xact_commit)::float8 as committed, sum(xact_rollback)::float8 as "rolledBack",
         sum(tup_returned)::float8 as returned, sum(tup_fetched)::float8 as fetched, sum(tup_inserted)::float8 as inserted,
         sum(tup_updated)::float8 as updated, sum(tup_deleted)::float8 as deleted,
         sum(blks_hit)::float8 as "buffersHit", sum(blks_read)::float8 as "buffersRead",
         sum(deadlocks)::float8 as deadlocks, sum(temp_files)::float8 as "tempFiles", sum(temp_bytes)::float8 as "tempBytes",
         (select max(age(datfrozenxid))::float8 from pg_database) as "xidAge",
         (select max(mxid_age(datminmxid))::float8 from pg_database) as "multixactAge",
         current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - current_setting('reserved_connections')::int as "connectionsLimit",
         current_setting('autovacuum_max_workers')::int as "autovacuumWorkersLimit"
    from pg_stat_database`;

/** Of a slot that reserves nothing there is nothing to tell; the readers' own (postgres/vacuum-hold.ts) is one. */
const SELECT_SLOTS = `
  select slot_name as name, active,
         pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)::float8
           as "retainedBytes"
    from pg_replication_slots where restart_lsn is not null
   order by 3 desc limit ${SLOTS_MAX}`;

/** What PostgreSQL has counted, in all databases; it begins anew where its statistics do. */
export interface ServerCounts {
  readonly committed: number;
  readonly rolledBack: number;
  readonly returned: number;
  readonly fetched: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly buffersHit: number;
  readonly buffersRead: number;
  readonly deadlocks: number;
  readonly tempFiles: number;
  readonly tempBytes: number;
  /** Of the database that is furthest from its last freeze. */
  readonly xidAge: number;
  readonly multixactAge: number;
  /** What is left for roles that are no superusers. */
  readonly connectionsLimit: number;
  readonly autovacuumWorkersLimit: number;
}

export interface SlotRetention {
  readonly name: string;
  readonly active: boolean;
  readonly retainedBytes: number;
}

export interface ServerStatistics extends ServerCounts {
  readonly slots: readonly SlotRetention[];
}

/** What PostgreSQL counts of itself; as often as somebody scrapes it. */
export class StatisticsLook implements Look {
  readonly name = 'statistics';
  readonly everyMs = 10_000;
  #statistics: ServerStatistics | undefined;

  /** Undefined while nobody knows. */
  get statistics(): ServerStatistics | undefined {
    return this.#statistics;
  }

  async take(client: Asking): Promise<void> {
    const { rows } = await client.query<ServerCounts>({ name: 'insights_statistics', text: SELECT });
    const { rows: slots } = await client.query<SlotRetention>({ name: 'insights_slots', text: SELECT_SLOTS });
    const [counts] = rows;
    // A sum has always one row.
    if (counts !== undefined) this.#statistics = { ...counts, slots };
  }

  forget(): void {
    this.#statistics = undefined;
  }
}
