import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Lsn, OPCODE, RMGR, type RmgrName, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { compareWithFiles } from './compare-files.ts';
import { readVolume } from './data-directory.ts';
import { formatCoverage, RedoVerifier } from './redo-verifier.ts';
import { walRecords } from './wal-files.ts';

/** Full images never, so that every page is replayed from records; or with images after frequent checkpoints. */
export type ImageMode = 'no images' | 'images';

export interface Workload {
  /** The resource managers whose records carry images to compare with (names of wal_consistency_checking). */
  readonly checking: string;
  readonly statements: readonly string[];
  /** Told of each record that was replayed. */
  readonly onRecord?: (record: WalRecord) => void;
}

export interface Verified {
  /** What each record type came to; pages that differ from the record's image are among its mismatches. */
  readonly verifier: RedoVerifier;
  /** Where the pages at the end differ from the server's files. */
  readonly fileDifferences: readonly string[];
}

/**
 * Runs SQL on a real PostgreSQL, replays its WAL natively and compares each page with its images and at last its file.
 */
export async function verifyWorkload(workload: Workload, mode: ImageMode): Promise<Verified> {
  const images = mode === 'images';
  const postgres = await startPostgres({
    initdb: ['--no-data-checksums'],
    settings: {
      autovacuum: false,
      wal_consistency_checking: workload.checking,
      full_page_writes: images,
      wal_keep_size: '8GB',
      max_wal_size: '8GB',
    },
  });
  try {
    await postgres.stop();
    const { state, pages } = readVolume(postgres.dataDir);
    const verifier = new RedoVerifier(state, pages);
    const from: Lsn = state.endLsn;
    await postgres.restart();
    await runStatements(postgres, workload.statements, images);
    await postgres.stop();
    for (const record of walRecords(path.join(postgres.dataDir, 'pg_wal'), from)) {
      verifier.apply(record);
      workload.onRecord?.(record);
    }
    return { verifier, fileDifferences: compareWithFiles(verifier, postgres.dataDir).differences };
  } finally {
    await postgres.remove();
  }
}

async function runStatements(postgres: TestPostgres, statements: readonly string[], withCheckpoints: boolean): Promise<void> {
  const client = await postgres.connect();
  let running = true;
  const checkpoints = (async () => {
    if (!withCheckpoints) return;
    const other = await postgres.connect();
    while (running) {
      await other.query('checkpoint');
      await delay(100);
    }
    await other.end();
  })();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    running = false;
    await checkpoints;
    await client.end();
  }
}

/** The table of one resource manager's records: how many, and how many of their pages were compared. */
export function coverageOf(verifier: RedoVerifier, rmgr: RmgrName): string {
  const prefix = `${RMGRS.nameOf(RMGR[rmgr])}/`;
  return formatCoverage(new Map([...verifier.coverage].filter(([name]) => name.startsWith(prefix))));
}

/** Record types of a resource manager, as `recordName` names them, that the replay never met. */
export function recordsNotMet(verifier: RedoVerifier, rmgr: RmgrName, expectedMissing: readonly string[] = []): string[] {
  const prefix = RMGRS.nameOf(RMGR[rmgr]);
  return Object.keys(OPCODE[rmgr]).filter((name) => !expectedMissing.includes(name) && !verifier.coverage.has(`${prefix}/${name}`));
}
