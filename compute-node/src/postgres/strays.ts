import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';

/**
 * Kills every postgres process whose working directory is `dataDir`, and returns their ids. PostgreSQL's processes all
 * work there, so this finds a whole server that an earlier agent left, also one whose postmaster is gone. Unlike a pid
 * file it cannot name a stranger.
 */
export function killStrays(dataDir: string): number[] {
  const killed: number[] = [];
  let directory: string;
  try {
    directory = realpathSync(dataDir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return killed;
    throw error;
  }
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      if (readlinkSync(`/proc/${pid}/cwd`) !== directory || basename(readlinkSync(`/proc/${pid}/exe`)) !== 'postgres') continue;
      process.kill(pid, 'SIGKILL');
      killed.push(pid);
    } catch (error) {
      // Gone meanwhile, or somebody else's process: not ours to end.
      if (!isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) throw error;
    }
  }
  return killed;
}

function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
