import path from 'node:path';
import type { TestPostgres } from '@kube-aurora/test-postgres';
import { copyDataDirectory, type Replayed, replayLog } from './replay-log.ts';
import { runWorkload } from './workload.ts';

/** WAL as a running cluster's, all of it kept, with the page that PostgreSQL expects in every record. */
export const WITH_EXPECTED_PAGES = { wal_consistency_checking: 'all', wal_level: 'logical' } as const;

/** Runs the workload and replays its log, from the first start on, onto the pages that initdb made. */
export async function replayWorkload(
  pg: TestPostgres,
  settings: Readonly<Record<string, string | number>>,
  scale: number,
): Promise<Replayed> {
  await pg.stop('fast');
  const base = copyDataDirectory(pg.dataDir, 'base');
  await pg.restart({
    full_page_writes: 'off',
    max_prepared_transactions: 10,
    track_commit_timestamp: 'on',
    autovacuum: 'off',
    checkpoint_timeout: '1h',
    max_wal_size: '20GB',
    wal_keep_size: '20GB',
    wal_recycle: 'off',
    ...settings,
  });
  await runWorkload({ connect: (database) => pg.connect(database), scratchDir: path.dirname(pg.dataDir), scale });
  await pg.stop('fast');
  return replayLog(base, pg.dataDir);
}
