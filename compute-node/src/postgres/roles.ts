import { readFile } from 'node:fs/promises';
import { escapeIdentifier, escapeLiteral } from 'pg';
import { withSuperuser, type LocalSocket } from './local-client.ts';
import { scramVerifier, verifierMatches } from './scram.ts';

export interface RolePassword {
  readonly role: string;
  readonly passwordFile: string;
}

export type PasswordFile =
  | { readonly kind: 'read'; readonly password: string }
  /** There is no such file, or nothing in it. */
  | { readonly kind: 'missing' | 'empty' };

/** A password as a Secret's file holds it: the last line break is not part of it. */
export async function readPassword(file: string): Promise<PasswordFile> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { kind: 'missing' };
    throw error;
  }
  const password = text.replace(/\r?\n$/, '');
  return password === '' ? { kind: 'empty' } : { kind: 'read', password };
}

/**
 * Gives a role its password and makes the role when it is missing (without rights of its own). True when that changed
 * something: a password that matches already is left as it is, with its salt.
 */
export async function applyPassword(socket: LocalSocket, role: string, password: string): Promise<boolean> {
  return withSuperuser(socket, async (client) => {
    const found = await client.query<{ rolpassword: string | null }>('select rolpassword from pg_authid where rolname = $1', [role]);
    const current = found.rows[0];
    if (current?.rolpassword != null && verifierMatches(current.rolpassword, password)) return false;
    const verb = current === undefined ? 'create role' : 'alter role';
    await client.query(`${verb} ${escapeIdentifier(role)} login password ${escapeLiteral(scramVerifier(password))}`);
    return true;
  });
}
