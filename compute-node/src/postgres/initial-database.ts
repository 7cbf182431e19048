import { escapeIdentifier } from 'pg';
import { withSuperuser, type LocalSocket } from './local-client.ts';

/** The application's role and its database, which the role owns. Makes what is missing. */
export async function createApplication(socket: LocalSocket, application: { user: string; database: string }): Promise<void> {
  const { user, database } = application;
  await withSuperuser(socket, async (client) => {
    if ((await client.query('select from pg_roles where rolname = $1', [user])).rowCount === 0) {
      await client.query(`create role ${escapeIdentifier(user)} login`);
    }
    if ((await client.query('select from pg_database where datname = $1', [database])).rowCount === 0) {
      await client.query(`create database ${escapeIdentifier(database)} owner ${escapeIdentifier(user)}`);
    }
  });
}
