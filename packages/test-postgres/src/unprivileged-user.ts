import { readFileSync } from 'node:fs';

/** Whom to run PostgreSQL as; empty means as ourselves. Fits `spawn`'s options. */
export interface PostgresUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** PostgreSQL refuses to run as root, so under root it gets the uid and gid of `nobody`. */
export function postgresUser(): PostgresUser {
  if (process.getuid?.() !== 0) return {};
  const entry = /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'));
  if (entry === null) throw new Error('PostgreSQL needs an unprivileged user under root, and /etc/passwd has no `nobody`');
  return { uid: Number(entry[1]), gid: Number(entry[2]) };
}
