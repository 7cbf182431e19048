import path from 'node:path';
import { decodeCheckpoint } from '@kube-aurora/pg-format';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkpointAt, orphanedXids } from '../state/volume-state.ts';
import { compareWithFiles } from './compare-files.ts';
import { readVolume } from './data-directory.ts';
import { RedoVerifier } from './redo-verifier.ts';
import { copyDataDirectory, isShutdownCheckpoint } from './replay-log.ts';
import { walRecords } from './wal-files.ts';

let pg: TestPostgres;

beforeAll(async () => {
  pg = await startPostgres({ initdb: ['--no-data-checksums'] });
});
afterAll(() => pg?.remove());

test('a killed server leaves the state that its own crash recovery arrives at', async () => {
  await pg.stop('fast');
  const base = copyDataDirectory(pg.dataDir, 'base');
  await pg.restart({ full_page_writes: 'off', max_prepared_transactions: 5, autovacuum: 'off', wal_keep_size: '1GB' });
  const [db, open] = await Promise.all([pg.connect(), pg.connect()]);
  await db.query('CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 500) i');
  await db.query(`BEGIN; UPDATE t SET b = 1 WHERE a = 1; SAVEPOINT s; UPDATE t SET b = 1 WHERE a = 2; PREPARE TRANSACTION 'kept'`);
  await open.query('BEGIN; UPDATE t SET b = 2 WHERE a = 3; SAVEPOINT s; UPDATE t SET b = 2 WHERE a = 4; ROLLBACK');
  await open.query('BEGIN; UPDATE t SET b = 3 WHERE a = 5; SAVEPOINT s; UPDATE t SET b = 3 WHERE a = 6');
  const { rows: running } = await open.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  await db.query('UPDATE t SET b = 4 WHERE a = 7');
  await pg.stop('kill');

  const { state, pages } = readVolume(base);
  const verifier = new RedoVerifier(state, pages);
  const walDir = path.join(pg.dataDir, 'pg_wal');
  for (const record of walRecords(walDir, state.endLsn)) verifier.apply(record);
  // The top-level transaction and its subtransaction died; the prepared one and its subtransaction did not.
  const top = Number(running[0]?.xid);
  expect(orphanedXids(state)).toEqual([top, top + 1]);
  expect(state.prepared.size).toBe(1);
  expect(state.transactions.running.size).toBe(4);
  const crashed = checkpointAt(state, { redo: state.endLsn, online: false, time: 0n });

  await pg.restart();
  const after = await pg.connect();
  await after.query(`COMMIT PREPARED 'kept'`);
  await after.query('UPDATE t SET b = b + 10');
  await after.query('VACUUM t');
  await after.end();
  await pg.stop('fast');
  const rest = [...walRecords(walDir, state.endLsn)];
  const recovered = rest.find(isShutdownCheckpoint);
  if (recovered === undefined) throw new Error('crash recovery wrote no checkpoint');
  const { redo: _redo, time: _time, ...theirs } = decodeCheckpoint(recovered.mainData);
  expect({ ...crashed, fullPageWrites: theirs.fullPageWrites }).toMatchObject(theirs);
  for (const record of rest) verifier.apply(record);
  expect(verifier.mismatches).toEqual([]);
  expect(compareWithFiles(verifier, pg.dataDir).differences).toEqual([]);
});
