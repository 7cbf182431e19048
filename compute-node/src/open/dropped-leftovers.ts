import type { Logger } from '@kube-aurora/process';
import type { DatabaseDirectory } from '@kube-aurora/redo';
import type { PageRange } from '../read-path/page-range.ts';
import type { ComputeImage } from './fetch-image.ts';
import { committedIn, databaseHomes, databasesInTwoPlaces, leftoverDirectories, pgDatabaseFork } from './leftover-directories.ts';

/** Largest run of pages in one read. */
const PAGES_PER_READ = 128;

/**
 * Directories that an interrupted move of a database left, to be dropped before PostgreSQL starts. Reads pg_database,
 * and only when a database has two directories.
 *
 * @param readPages pages as of the image's LSN
 */
export async function findLeftovers(
  { state, slruPages }: ComputeImage,
  readPages: (range: PageRange) => Promise<Buffer>,
  logger: Logger,
): Promise<readonly DatabaseDirectory[]> {
  if (databasesInTwoPlaces(state).size === 0) return [];
  const fork = pgDatabaseFork(state);
  const runs: Buffer[] = [];
  for (let block = 0; fork !== undefined && block < fork.blocks; block += PAGES_PER_READ) {
    const count = Math.min(PAGES_PER_READ, fork.blocks - block);
    runs.push(await readPages({ ...fork, block, count }));
  }
  const { dropped, doubtful } = leftoverDirectories(state, databaseHomes(Buffer.concat(runs), committedIn(slruPages)));
  if (dropped.length > 0) logger.warn({ directories: dropped }, 'dropped what an interrupted move of a database left');
  if (doubtful.length > 0) {
    logger.warn({ directories: doubtful }, 'a database has a second directory, with relations that it has nowhere else; left alone');
  }
  return dropped;
}
