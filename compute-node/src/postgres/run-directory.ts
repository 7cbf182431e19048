import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Account } from './account.ts';

/**
 * sockaddr_un.sun_path holds 108 bytes with its NUL; PostgreSQL itself stops at 103 (`.s.PGSQL.65535.lock` beside it).
 */
export const SOCKET_PATH_MAX = 103;

const PREFIX = 'kube-aurora-';
/** In a run directory away from its data: the path that it belongs to. */
const OWNER_FILE = 'belongs-to';
/**
 * LD_PRELOAD is cut at spaces and colons, PostgreSQL's list of socket directories at commas; and quotes want no
 * thinking about.
 */
const PLAIN = /^[A-Za-z0-9_./+@=-]+$/;
/** Of the sockets by which the agent passes clients on. */
const CLIENT_SOCKETS = 'clients';
const LONGEST_SOCKET_NAME = `/${CLIENT_SOCKETS}/.s.PGSQL.65535`;

export class RunDirectoryError extends Error {
  constructor(directory: string, why: string) {
    super(`${directory} cannot hold PostgreSQL's sockets: ${why}; remove it, or set TMPDIR to a directory of your own`);
    this.name = 'RunDirectoryError';
  }
}

function plainTmpdir(): string {
  return PLAIN.test(tmpdir()) ? tmpdir() : '/tmp';
}

/**
 * The directory for the sockets of what lives in `dir`; only `account` (or we) may enter. `dir/run` where its path is
 * short enough for a socket and plain enough for lists of paths, else one below the system's temporary directory, the
 * same for the same `dir` each time. Throws {@link RunDirectoryError} when somebody else has put something there.
 */
export function makeRunDirectory(dir: string, account: Account | undefined): string {
  const beside = join(dir, 'run');
  const usable = PLAIN.test(beside) && Buffer.byteLength(beside + LONGEST_SOCKET_NAME) <= SOCKET_PATH_MAX;
  const directory = usable ? beside : join(plainTmpdir(), `${PREFIX}${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const owners = [process.getuid?.(), account?.uid];
  const found = lstatSync(directory);
  if (!found.isDirectory()) throw new RunDirectoryError(directory, 'it is not a directory');
  if (!owners.includes(found.uid)) throw new RunDirectoryError(directory, `it belongs to uid ${found.uid}`);
  chmodSync(directory, 0o700);
  if (account !== undefined) chownSync(directory, account.uid, account.gid);
  if (!usable) writeFileSync(join(directory, OWNER_FILE), dir);
  return directory;
}

/** In a run directory: for the socket whose sessions are clients' and not the agent's own (native/lease.c). */
export function makeClientSocketDirectory(runDir: string, account: Account | undefined): string {
  const directory = join(runDir, CLIENT_SOCKETS);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (account !== undefined) chownSync(directory, account.uid, account.gid);
  return directory;
}

/**
 * Removes the directories that makeRunDirectory made below the system's temporary directory for what is gone since: a
 * pod that was killed cannot remove its own. Gives their paths.
 */
export function removeAbandonedRunDirectories(account: Account | undefined, root = plainTmpdir()): string[] {
  const owners = [process.getuid?.(), account?.uid];
  const abandoned = readdirSync(root)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(root, name))
    .filter((directory) => {
      try {
        const found = lstatSync(directory);
        if (!found.isDirectory() || !owners.includes(found.uid)) return false;
        return !existsSync(readFileSync(join(directory, OWNER_FILE), 'utf8'));
      } catch (error) {
        // Just being made or removed, or not one of these.
        if (error instanceof Error && 'code' in error) return false;
        throw error;
      }
    });
  for (const directory of abandoned) rmSync(directory, { recursive: true, force: true });
  return abandoned;
}
