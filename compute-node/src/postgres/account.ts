import { readFileSync } from 'node:fs';

/** Who PostgreSQL runs as. PostgreSQL refuses root, so a root agent hands its files and sockets to another account. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export class AccountError extends Error {
  constructor(names: readonly string[]) {
    super(`PostgreSQL must not run as root, and /etc/passwd has none of: ${names.join(', ')}. Create one, or run the agent unprivileged.`);
    this.name = 'AccountError';
  }
}

/**
 * The account for PostgreSQL: undefined when the agent is unprivileged itself (PostgreSQL runs as the same user), else
 * the first of `names` that exists. `passwd` is the text of /etc/passwd.
 */
export function postgresAccount(
  names: readonly string[] = ['postgres', 'nobody'],
  ownUid: number = process.getuid?.() ?? 0,
  passwd: string = readFileSync('/etc/passwd', 'utf8'),
): Account | undefined {
  if (ownUid !== 0) return undefined;
  const lines = passwd.split('\n').map((line) => line.split(':'));
  for (const name of names) {
    const fields = lines.find((line) => line[0] === name);
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    if (Number.isInteger(uid) && Number.isInteger(gid) && uid > 0) return { uid, gid };
  }
  throw new AccountError(names);
}
