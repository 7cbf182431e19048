import type { Client } from 'pg';
import type { Finding } from './finding.ts';
import {
  bloat,
  deadRows,
  duplicateIndexes,
  invalidIndexes,
  neverAnalyzed,
  SELECT_BLOAT,
  SELECT_DUPLICATES,
  SELECT_INVALID,
  SELECT_SEQUENCES,
  SELECT_TABLES,
  SELECT_UNUSED,
  sequences,
  unusedIndexes,
  type BloatRow,
  type DuplicateRow,
  type InvalidRow,
  type SequenceRow,
  type TableRow,
  type UnusedRow,
} from './relation-advice.ts';
import {
  connections,
  openTransactions,
  preparedTransactions,
  SELECT_CONNECTIONS,
  SELECT_DATABASES,
  SELECT_PREPARED,
  SELECT_SLOTS,
  SELECT_TRANSACTIONS,
  slots,
  transactionIds,
  type ConnectionsRow,
  type DatabaseRow,
  type PreparedRow,
  type SlotRow,
  type TransactionRow,
} from './server-advice.ts';

/** Databases that are looked at, oldest first. */
const DATABASES_MAX = 20;

async function rowsOf<Row extends object>(client: Pick<Client, 'query'>, select: string): Promise<readonly Row[]> {
  return (await client.query<Row>(select)).rows;
}

/** Undefined of a reader: what vacuum and indexes do is seen on the writer. Else what concerns all databases, and their names. */
export async function lookAtServer(
  client: Pick<Client, 'query'>,
): Promise<{ readonly found: readonly Finding[]; readonly databases: readonly string[] } | undefined> {
  const [recovery] = await rowsOf<{ standby: boolean }>(client, 'select pg_is_in_recovery() as standby');
  if (recovery?.standby !== false) return undefined;
  const [taken] = await rowsOf<ConnectionsRow>(client, SELECT_CONNECTIONS);
  const found = [
    ...transactionIds(await rowsOf<DatabaseRow>(client, SELECT_DATABASES)),
    ...openTransactions(await rowsOf<TransactionRow>(client, SELECT_TRANSACTIONS)),
    ...preparedTransactions(await rowsOf<PreparedRow>(client, SELECT_PREPARED)),
    ...slots(await rowsOf<SlotRow>(client, SELECT_SLOTS)),
    ...(taken === undefined ? [] : connections(taken)),
  ];
  const databases = await rowsOf<{ name: string }>(
    client,
    `select datname as name from pg_database where datallowconn and not datistemplate order by oid limit ${DATABASES_MAX}`,
  );
  return { found, databases: databases.map(({ name }) => name) };
}

/** What concerns the relations of the database that the client is connected to. */
export async function lookAtDatabase(client: Pick<Client, 'query'>, database: string): Promise<readonly Finding[]> {
  const tables = await rowsOf<TableRow>(client, SELECT_TABLES);
  return [
    ...deadRows(database, tables),
    ...neverAnalyzed(database, tables),
    ...bloat(database, await rowsOf<BloatRow>(client, SELECT_BLOAT)),
    ...invalidIndexes(database, await rowsOf<InvalidRow>(client, SELECT_INVALID)),
    ...duplicateIndexes(database, await rowsOf<DuplicateRow>(client, SELECT_DUPLICATES)),
    ...unusedIndexes(database, await rowsOf<UnusedRow>(client, SELECT_UNUSED)),
    ...sequences(database, await rowsOf<SequenceRow>(client, SELECT_SEQUENCES)),
  ];
}
