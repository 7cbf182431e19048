import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Where Linux shows POSIX shared memory as files. */
const MEMORY = '/dev/shm';

/** What the shim puts into the names of a data directory's shared memory: /dev/shm/PostgreSQL.TAG.NUMBER. */
export function memoryTag(dataDir: string): string {
  return createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
}

/** A file of ours among the shared memory of PostgreSQL on `dataDir`: removed with it. */
export function sharedMemoryFile(dataDir: string, name: string, memory = MEMORY): string {
  return join(memory, `PostgreSQL.${memoryTag(dataDir)}.${name}`);
}

/**
 * Removes the shared memory that PostgreSQL left which ran on `dataDir`. None may be running there. Gives the names.
 */
export function removeSharedMemory(dataDir: string, memory = MEMORY): string[] {
  const prefix = `PostgreSQL.${memoryTag(dataDir)}.`;
  const left = namesIn(memory).filter((name) => name.startsWith(prefix));
  for (const name of left) rmSync(join(memory, name), { force: true });
  return left;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    // A machine without it has nothing there to remove.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
