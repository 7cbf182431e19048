import { chownSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import type { Client } from 'pg';
import { advanceCounters } from './advance-counters.ts';
import { copyDataDirectory, type Replayed, replayLog } from './replay-log.ts';

/**
 * Logs with the records that no SQL on one healthy server makes it write, or only with settings or an age of its own.
 */
export interface RareLog {
  readonly name: string;
  /** The record types it is there for. */
  readonly holds: readonly string[];
  /** Runs the servers and replays what they wrote. `pg` has run initdb and is stopped; the caller removes it. */
  readonly write: (pg: TestPostgres) => Promise<Replayed>;
}

const SETTINGS = {
  full_page_writes: 'off',
  max_prepared_transactions: 5,
  autovacuum: 'off',
  checkpoint_timeout: '1h',
  wal_keep_size: '1GB',
  wal_recycle: 'off',
};

async function run(db: Client, ...statements: string[]): Promise<void> {
  for (const statement of statements) await db.query(statement);
}

/**
 * A table with an index, a prepared transaction, one that was rolled back, and one that still runs when this returns.
 */
async function leaveWorkUnfinished(pg: TestPostgres): Promise<void> {
  const [db, open] = await Promise.all([pg.connect(), pg.connect()]);
  await run(
    db,
    'CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 500) i',
    `BEGIN; UPDATE t SET b = 1 WHERE a = 1; SAVEPOINT s; UPDATE t SET b = 1 WHERE a = 2; PREPARE TRANSACTION 'kept'`,
    'BEGIN; UPDATE t SET b = 2 WHERE a = 3; ROLLBACK',
  );
  await run(open, 'BEGIN; UPDATE t SET b = 3 WHERE a = 5; SAVEPOINT s; UPDATE t SET b = 3 WHERE a = 6');
  await run(db, 'UPDATE t SET b = 4 WHERE a = 7', 'SELECT pg_log_standby_snapshot()');
}

/** Works on where {@link leaveWorkUnfinished} was cut off, and shuts down. */
async function finishWork(pg: TestPostgres): Promise<void> {
  const db = await pg.connect();
  await run(
    db,
    `COMMIT PREPARED 'kept'`,
    'UPDATE t SET b = b + 10',
    'VACUUM t',
    'INSERT INTO t SELECT i, 0 FROM generate_series(501, 900) i',
  );
  await db.end();
  await pg.stop('fast');
}

/** A promoted standby ends its recovery on a new timeline, with a record in place of a checkpoint. */
async function promotion(pg: TestPostgres): Promise<Replayed> {
  const base = copyDataDirectory(pg.dataDir, 'base');
  await pg.restart(SETTINGS);
  await leaveWorkUnfinished(pg);
  await pg.stop('kill');
  // A copy of a crashed server that finds no more WAL than it has: what a standby is when its primary died.
  const dataDir = copyDataDirectory(pg.dataDir, 'standby');
  rmSync(path.join(dataDir, 'postmaster.pid'));
  const signal = path.join(dataDir, 'standby.signal');
  writeFileSync(signal, '');
  const { uid, gid } = pg.user;
  if (uid !== undefined && gid !== undefined) chownSync(signal, uid, gid);
  const standby = await startPostgres({ dataDir, settings: SETTINGS });
  try {
    const db = await standby.connect();
    await run(db, 'SELECT pg_promote()');
    await db.end();
    await finishWork(standby);
  } finally {
    await standby.remove();
  }
  return replayLog(base, dataDir, 2);
}

/** Recovery finds a record whose second half was never written, and marks the place before it writes over it. */
async function cutInRecord(pg: TestPostgres): Promise<Replayed> {
  const base = copyDataDirectory(pg.dataDir, 'base');
  await pg.restart(SETTINGS);
  await leaveWorkUnfinished(pg);
  const db = await pg.connect();
  const { rows } = await db.query<{ file: string }>('SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS file');
  // Longer than a segment, and nothing after it: the record begins in this segment and goes on in the next.
  await run(db, `SELECT pg_logical_emit_message(false, 'long', repeat('x', 17000000), true)`);
  await pg.stop('kill');
  const walDir = path.join(pg.dataDir, 'pg_wal');
  for (const file of readdirSync(walDir)) {
    if (/^[0-9A-F]{24}$/.test(file) && file > (rows[0]?.file ?? '')) rmSync(path.join(walDir, file));
  }
  await pg.restart();
  await finishWork(pg);
  return replayLog(base, pg.dataDir);
}

/**
 * An old server: millions of transactions and multixacts, which freezing lets go of. With hints logged, full-page
 * writes switched on and off, and a catalog rewritten that a logical slot still reads.
 */
async function longLife(pg: TestPostgres): Promise<Replayed> {
  advanceCounters(pg.dataDir, { nextXid: 3_100_000n, nextMulti: 70_001, nextMultiOffset: 160_000 });
  const base = copyDataDirectory(pg.dataDir, 'base');
  const { full_page_writes: _onlyInTheFile, ...settings } = SETTINGS;
  await pg.restart({ ...settings, wal_level: 'logical', wal_log_hints: 'on', track_commit_timestamp: 'on' });
  const db = await pg.connect();
  await run(db, 'CREATE TABLE t (a int PRIMARY KEY, b int)', 'INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i');
  await setFullPageWrites(db, 'off');
  await run(db, 'UPDATE t SET b = 1 WHERE a % 2 = 0');
  await setFullPageWrites(db, 'on');
  // The first reader after the checkpoint sets hints on pages that nobody changed since: their images are logged.
  await run(db, 'CHECKPOINT', 'SELECT count(*) FROM t', 'VACUUM t');
  await run(
    db,
    `SELECT pg_create_logical_replication_slot('reader', 'pgoutput')`,
    'CREATE TABLE u (a int PRIMARY KEY); ALTER TABLE u ADD COLUMN b int',
    'VACUUM FULL pg_class',
    'VACUUM FULL pg_attribute',
    `SELECT pg_drop_replication_slot('reader')`,
    // A multixact of a transaction and its subtransaction.
    'BEGIN; SELECT 1 FROM t WHERE a = 1 FOR KEY SHARE; SAVEPOINT s; UPDATE t SET b = 9 WHERE a = 1; COMMIT',
  );
  await freezeAll(pg, db);
  await run(db, 'BEGIN; SELECT 1 FROM t WHERE a = 2 FOR KEY SHARE; SAVEPOINT s; UPDATE t SET b = 9 WHERE a = 2; COMMIT');
  await db.end();
  await pg.stop('fast');
  return replayLog(base, pg.dataDir);
}

/** The checkpointer takes the setting over, and logs it, some time after the reload. */
async function setFullPageWrites(db: Client, value: 'on' | 'off'): Promise<void> {
  await run(db, `ALTER SYSTEM SET full_page_writes = ${value}`, 'SELECT pg_reload_conf()');
  for (let attempt = 0; attempt < 100; attempt++) {
    await run(db, 'CHECKPOINT');
    const { rows } = await db.query<{ on: boolean }>('SELECT full_page_writes AS on FROM pg_control_checkpoint()');
    if (rows[0]?.on === (value === 'on')) return;
    await delay(20);
  }
  throw new Error(`the server did not switch full_page_writes ${value}`);
}

/** Freezes every database, so that no row needs the status of an old transaction. */
async function freezeAll(pg: TestPostgres, db: Client): Promise<void> {
  await run(db, 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
  for (const database of ['template0', 'template1', 'postgres']) {
    const inside = await pg.connect(database);
    await run(inside, 'SET vacuum_freeze_min_age = 0', 'SET vacuum_multixact_freeze_min_age = 0', 'VACUUM (FREEZE, DISABLE_PAGE_SKIPPING)');
    await inside.end();
  }
}

/** With wal_level = minimal what a transaction creates is logged, as page images, when it commits. */
async function minimal(pg: TestPostgres): Promise<Replayed> {
  const base = copyDataDirectory(pg.dataDir, 'base');
  await pg.restart({
    autovacuum: 'off',
    full_page_writes: 'off',
    wal_level: 'minimal',
    max_wal_senders: 0,
    // Above this size files would be synced and not logged, and a log alone would not do.
    wal_skip_threshold: '1GB',
  });
  const db = await pg.connect();
  await run(
    db,
    `BEGIN; CREATE TABLE points (id int, p point); CREATE INDEX ON points USING gist (p);
     INSERT INTO points SELECT i, point((i * 7919) % 1009, (i * 104729) % 1013) FROM generate_series(1, 1000) i; COMMIT`,
    'INSERT INTO points SELECT i, point(i, i) FROM generate_series(1, 300) i',
    'BEGIN; CREATE TABLE copied AS SELECT * FROM points; CREATE INDEX ON copied (id); TRUNCATE points; COMMIT',
    'UPDATE copied SET id = -id WHERE id % 3 = 0',
    'VACUUM',
  );
  await db.end();
  await pg.stop('fast');
  return replayLog(base, pg.dataDir);
}

export const RARE_LOGS: readonly RareLog[] = [
  {
    name: 'a server of great age',
    holds: ['CLOG/TRUNCATE', 'MultiXact/TRUNCATE_ID', 'XLOG/FPW_CHANGE', 'XLOG/FPI_FOR_HINT', 'Heap2/REWRITE'],
    write: longLife,
  },
  { name: 'a standby that was promoted', holds: ['XLOG/END_OF_RECOVERY'], write: promotion },
  { name: 'a server killed in the middle of a record', holds: ['XLOG/OVERWRITE_CONTRECORD'], write: cutInRecord },
  { name: 'a server with wal_level = minimal', holds: ['Gist/ASSIGN_LSN', 'XLOG/FPI'], write: minimal },
];
