import { Client, escapeIdentifier } from 'pg';
import type { InitdbOptions, SqlPlace } from './initdb-options.ts';
import { SUPERUSER, withSuperuser, type LocalSocket } from './local-client.ts';

export interface Application {
  readonly user: string;
  readonly database: string;
}

/** A statement of the manifest that PostgreSQL refuses. */
export class InitialSqlError extends Error {
  constructor(place: SqlPlace, index: number, why: string) {
    super(`spec.bootstrap.initdb.${place}, text ${index + 1} of all: ${why}`);
    this.name = 'InitialSqlError';
  }
}

/**
 * What is in a new database system: the application's role and its database, which the role owns, and what the
 * manifest's statements make. Templates come before the database that is made from them. Throws {@link
 * InitialSqlError}.
 */
export async function fillNewDatabase(socket: LocalSocket, application: Application, sql: InitdbOptions['sql']): Promise<void> {
  const { user, database } = application;
  await createRole(socket, user);
  await run(socket, 'postgres', 'postInitSQL', sql.postInitSQL);
  await run(socket, 'template1', 'postInitTemplateSQL', sql.postInitTemplateSQL);
  await withSuperuser(socket, async (client) => {
    if ((await client.query('select from pg_database where datname = $1', [database])).rowCount === 0) {
      await client.query(`create database ${escapeIdentifier(database)} owner ${escapeIdentifier(user)}`);
    }
  });
  await run(socket, database, 'postInitApplicationSQL', sql.postInitApplicationSQL);
}

async function createRole(socket: LocalSocket, user: string): Promise<void> {
  await withSuperuser(socket, async (client) => {
    if ((await client.query('select from pg_roles where rolname = $1', [user])).rowCount === 0)
      await client.query(`create role ${escapeIdentifier(user)} login`);
  });
}

/** On a connection as anybody's: its settings are the database's own, and what one text sets the next one sees. */
async function run(socket: LocalSocket, database: string, place: SqlPlace, texts: readonly string[]): Promise<void> {
  if (texts.length === 0) return;
  const client = new Client({ host: socket.dir, port: socket.port, user: SUPERUSER, database, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (const [index, text] of texts.entries()) {
      try {
        await client.query(text);
      } catch (error) {
        throw new InitialSqlError(place, index, error instanceof Error ? error.message : String(error));
      }
    }
  } finally {
    await client.end();
  }
}
