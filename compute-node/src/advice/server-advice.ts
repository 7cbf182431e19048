import { IS_CLIENT_SESSION } from '../postgres/client-sessions.ts';
import type { Finding } from './finding.ts';

/** What concerns all databases: how they are asked, and what follows from the answers. */

export const SELECT_DATABASES = `
  select datname as name, age(datfrozenxid)::float8 as "xidAge", mxid_age(datminmxid)::float8 as "multixactAge"
    from pg_database order by greatest(age(datfrozenxid), mxid_age(datminmxid)) desc limit 5`;
export interface DatabaseRow {
  readonly name: string;
  readonly xidAge: number;
  readonly multixactAge: number;
}

export const SELECT_TRANSACTIONS = `
  select pid, usename as role, coalesce(application_name, '') as application, state like 'idle in transaction%' as "isIdle",
         extract(epoch from now() - xact_start)::float8 as "openS", extract(epoch from now() - state_change)::float8 as "inStateS"
    from pg_stat_activity
   where ${IS_CLIENT_SESSION} and xact_start is not null
   order by xact_start limit 5`;
export interface TransactionRow {
  readonly pid: number;
  readonly role: string | null;
  readonly application: string;
  readonly isIdle: boolean;
  readonly openS: number;
  readonly inStateS: number;
}

export const SELECT_PREPARED = `
  select gid, database, extract(epoch from now() - prepared)::float8 as "openS" from pg_prepared_xacts order by prepared limit 5`;
export interface PreparedRow {
  readonly gid: string;
  readonly database: string;
  readonly openS: number;
}

export const SELECT_SLOTS = `
  select slot_name as name, active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 as "retainedBytes"
    from pg_replication_slots where restart_lsn is not null order by 3 desc limit 5`;
export interface SlotRow {
  readonly name: string;
  readonly active: boolean;
  readonly retainedBytes: number;
}

export const SELECT_CONNECTIONS = `
  select count(*)::float8 as connections,
         current_setting('max_connections')::float8 - current_setting('superuser_reserved_connections')::float8
           - current_setting('reserved_connections')::float8 as "limit"
    from pg_stat_activity where ${IS_CLIENT_SESSION}`;
export interface ConnectionsRow {
  readonly connections: number;
  readonly limit: number;
}

const XID_WARNING = 1e9;
const XID_CRITICAL = 1.8e9;
const LONG_TRANSACTION_S = 3600;
const IDLE_IN_TRANSACTION_S = 600;
const PREPARED_S = 3600;
const CONNECTIONS_SHARE = 0.8;
const SLOT_BYTES = 4 * 2 ** 30;

const hours = (seconds: number): string => (seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`);
const millions = (ids: number): string => `${Math.round(ids / 1e6)} million`;
const query = (select: string): string => select.replaceAll(/\s+/g, ' ').trim();

/** One finding for all that are so old: ids are used up in all of them at once. */
export function transactionIds(rows: readonly DatabaseRow[]): Finding[] {
  const ageOf = ({ xidAge, multixactAge }: DatabaseRow): number => Math.max(xidAge, multixactAge);
  const [oldest, ...others] = rows.filter((row) => ageOf(row) >= XID_WARNING).toSorted((a, b) => ageOf(b) - ageOf(a));
  if (oldest === undefined) return [];
  const { xidAge, multixactAge } = oldest;
  const beside = others.length === 0 ? '' : `, and a billion or more in ${others.map(({ name }) => name).join(', ')}`;
  return [
    {
      id: 'transactionIds',
      severity: ageOf(oldest) < XID_CRITICAL ? 'warning' : 'critical',
      subject: '',
      what: `ids of transactions in ${oldest.name} are ${millions(ageOf(oldest))} old${beside}; at 2000 million PostgreSQL takes no more writes`,
      numbers: { xidAge, multixactAge },
      query: query(SELECT_DATABASES),
      remedy:
        'end what holds vacuum back (old transactions, prepared ones, slots), then VACUUM (FREEZE) the tables with the highest age(relfrozenxid), in each of these databases',
    },
  ];
}

export function openTransactions(rows: readonly TransactionRow[]): Finding[] {
  return rows.flatMap(({ pid, role, application, isIdle, openS, inStateS }): Finding[] => {
    const who = `${role ?? 'a role that is gone'}${application === '' ? '' : ` (${application})`}`;
    const common = { subject: `pid ${pid}`, numbers: { pid, openSeconds: Math.round(openS) }, query: query(SELECT_TRANSACTIONS) };
    if (isIdle && inStateS >= IDLE_IN_TRANSACTION_S)
      return [
        {
          ...common,
          id: 'idleInTransaction',
          severity: 'warning',
          what: `${who} has left a transaction open for ${hours(openS)} and does nothing; vacuum removes nothing that it may see, and its locks are held`,
          remedy: `select pg_terminate_backend(${pid}); idle_in_transaction_session_timeout ends such sessions by itself`,
        },
      ];
    if (openS < LONG_TRANSACTION_S) return [];
    return [
      {
        ...common,
        id: 'longTransaction',
        severity: 'warning',
        what: `a transaction of ${who} has been open for ${hours(openS)}; vacuum removes nothing that it may see`,
        remedy: `let it run on a reader if it is a report; otherwise select pg_cancel_backend(${pid})`,
      },
    ];
  });
}

export function preparedTransactions(rows: readonly PreparedRow[]): Finding[] {
  return rows
    .filter(({ openS }) => openS >= PREPARED_S)
    .map(({ gid, database, openS }) => ({
      id: 'preparedTransaction',
      severity: 'warning',
      subject: `${database}: ${gid}`,
      what: `the prepared transaction '${gid}' has waited for ${hours(openS)} to be committed or rolled back; it holds its locks and holds back vacuum`,
      numbers: { openSeconds: Math.round(openS) },
      query: query(SELECT_PREPARED),
      remedy: `in ${database}: COMMIT PREPARED or ROLLBACK PREPARED, as its transaction manager says`,
    }));
}

export function connections({ connections: taken, limit }: ConnectionsRow): Finding[] {
  if (taken < CONNECTIONS_SHARE * limit) return [];
  return [
    {
      id: 'connections',
      severity: taken < 0.95 * limit ? 'warning' : 'critical',
      subject: '',
      what: `${taken} of ${limit} connections are taken`,
      numbers: { connections: taken, limit },
      query: query(SELECT_CONNECTIONS),
      remedy:
        'make the pools of applications smaller, or put a pooler before them; max_connections may be raised, with a restart and memory for each',
    },
  ];
}

export function slots(rows: readonly SlotRow[]): Finding[] {
  return rows
    .filter(({ active, retainedBytes }) => !active && retainedBytes >= SLOT_BYTES)
    .map(({ name, retainedBytes }) => ({
      id: 'slotHoldsWal',
      severity: 'warning',
      subject: name,
      what: `nobody reads the replication slot ${name}, and it holds ${Math.round(retainedBytes / 2 ** 30)} GiB of WAL on the compute's disk`,
      numbers: { retainedBytes },
      query: query(SELECT_SLOTS),
      remedy: `bring back its subscriber, or select pg_drop_replication_slot('${name}'); max_slot_wal_keep_size bounds what slots hold`,
    }));
}

/** Pages that PostgreSQL wanted between two looks, and those of them that came from storage. */
export interface CacheUse {
  readonly wanted: number;
  readonly fromStorage: number;
  readonly seconds: number;
}

const FROM_STORAGE_SHARE = 0.05;
const FROM_STORAGE_PER_SECOND = 200;

export function cache({ wanted, fromStorage, seconds }: CacheUse): Finding[] {
  if (fromStorage < FROM_STORAGE_PER_SECOND * seconds || fromStorage < FROM_STORAGE_SHARE * wanted) return [];
  // What PostgreSQL counts is known some seconds later than what was fetched.
  const percent = Math.min(100, Math.round((100 * fromStorage) / wanted));
  return [
    {
      id: 'cacheTooSmall',
      severity: 'hint',
      subject: '',
      what: `${percent} % of the pages that PostgreSQL wanted came from storage, ${Math.round(fromStorage / seconds)} a second`,
      numbers: { percent, pagesPerSecond: Math.round(fromStorage / seconds) },
      query: 'select sum(blks_hit) as hit, sum(blks_read) as read from pg_stat_database',
      remedy:
        'give the compute more disk for pages (spec.compute.cacheSize), or PostgreSQL more shared_buffers; or find the query that scans what it need not',
    },
  ];
}
