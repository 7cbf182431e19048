import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { readCacheFile } from './cache-file.ts';

/** Half of what is free for the data directory, with what an earlier one takes that is about to go; bytes. */
export function roomForCache(dataDir: string): number {
  const { bavail, bsize } = statfsSync(dirname(dataDir));
  return (bavail * bsize + (readCacheFile(dataDir)?.residentBytes ?? 0)) / 2;
}
