import { readFile } from 'node:fs/promises';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { scramVerifier, verifierMatches } from './scram.ts';

export const SUPERUSER = 'postgres';

/** PostgreSQL's local socket, which only the agent and PostgreSQL's account reach. */
export interface LocalSocket {
  readonly dir: string;
  readonly port: number;
}

export class RoleError extends Error {
  constructor(role: string, why: string) {
    super(`role '${role}': ${why}`);
    this.name = 'RoleError';
  }
}

export interface RolePassword {
  readonly role: string;
  readonly passwordFile: string;
}

/**
 * Brings roles' passwords to what their files say, and makes roles that are missing (without rights of their own). Writes
 * nothing when they match already. Throws {@link RoleError} for an unreadable or empty file.
 */
export async function applyPasswords(socket: LocalSocket, roles: readonly RolePassword[]): Promise<void> {
  const wanted = await Promise.all(roles.map(async (each) => ({ role: each.role, password: await readPassword(each) })));
  await withSuperuser(socket, async (client) => {
    for (const { role, password } of wanted) {
      const found = await client.query<{ rolpassword: string | null }>('select rolpassword from pg_authid where rolname = $1', [role]);
      const current = found.rows[0];
      if (current?.rolpassword != null && verifierMatches(current.rolpassword, password)) continue;
      const verb = current === undefined ? 'create role' : 'alter role';
      await client.query(`${verb} ${escapeIdentifier(role)} login password ${escapeLiteral(scramVerifier(password))}`);
    }
  });
}

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

async function withSuperuser(socket: LocalSocket, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({
    host: socket.dir,
    port: socket.port,
    user: SUPERUSER,
    database: 'postgres',
    connectionTimeoutMillis: 10_000,
  });
  // A PostgreSQL that ends meanwhile fails the query under way; an unheard event would end the agent.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function readPassword({ role, passwordFile }: RolePassword): Promise<string> {
  let text: string;
  try {
    text = await readFile(passwordFile, 'utf8');
  } catch (error) {
    throw new RoleError(role, `cannot read its password: ${error instanceof Error ? error.message : String(error)}`);
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '') throw new RoleError(role, `password file ${passwordFile} is empty`);
  return password;
}
