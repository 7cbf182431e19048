import { join } from 'node:path';
import type { Disk, DiskSpace } from './disk.ts';

/**
 * Whether a disk has room for more redo, and what an error says of the disk. Decisions; `probeDisk` alone writes.
 *
 * A daemon stops taking redo while there is still a reserve: what it has taken must get to the disk, its control files
 * must be written, and storing pages, after which redo can go, takes room itself. It begins again only with more than
 * the reserve, so that it does not go to and fro.
 */

export interface DiskRoom {
  readonly isFull: boolean;
  readonly freeBytes: number;
  /** Free bytes from which on redo is taken again. */
  readonly neededBytes: number;
}

/** What is kept of a small disk: no more than this part of it. */
const SMALL_DISK_PART = 0.1;
const AGAIN_FACTOR = 1.25;

export function roomOf({ freeBytes, totalBytes }: DiskSpace, reserveBytes: number, before: DiskRoom | undefined): DiskRoom {
  const reserve = Math.min(reserveBytes, Math.floor(totalBytes * SMALL_DISK_PART));
  const neededBytes = Math.ceil(reserve * AGAIN_FACTOR);
  return { isFull: freeBytes < (before?.isFull === true ? neededBytes : reserve), freeBytes, neededBytes };
}

/** ENOSPC and EDQUOT: there is no room. */
export function isNoRoom(errno: string): boolean {
  return errno === 'ENOSPC' || errno === 'EDQUOT';
}

/** Name of the error that the operating system gave, '' when it had no part in it; the causes of an error count. */
export function errnoOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && 'errno' in at) return at.code;
  }
  return '';
}

/** LevelDB could not read or write its files; it does not say which error it was given. */
export function isStoreIoError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if ('code' in at && at.code === 'LEVEL_IO_ERROR') return true;
  return false;
}

const PROBE_BYTES = 64 * 1024;

/** Writes a little, durably, and takes it away again: '' when that works, else the error's name. */
export async function probeDisk(disk: Disk, directory: string): Promise<string> {
  const path = join(directory, 'probe');
  try {
    const file = await disk.openFile(path, 'create');
    try {
      await file.write([Buffer.alloc(PROBE_BYTES, 1)], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.removeFile(path);
    return '';
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === '') throw error;
    return errno;
  }
}
