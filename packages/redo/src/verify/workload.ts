import type { Client } from 'pg';

/**
 * A workload that makes PostgreSQL write every kind of heap, B-tree, sequence and transaction record: what a verifier
 * of redo is fed with in tests.
 */
export interface WorkloadServer {
  connect(database?: string): Promise<Client>;
  /** A directory that the server can read and write, for COPY. */
  readonly scratchDir: string;
  /** Multiplies the rows of the bulky steps: 1 makes 450,000 records. Below 0.2 some record types no longer occur. */
  readonly scale: number;
}

type Step = (server: WorkloadServer, db: Client) => Promise<void>;

async function run(db: Client, ...statements: string[]): Promise<void> {
  for (const statement of statements) await db.query(statement);
}

const tuples: Step = async (server, db) => {
  await run(
    db,
    `CREATE TABLE t (id int PRIMARY KEY, k int, v text, w text) WITH (fillfactor = 70)`,
    `CREATE INDEX t_k ON t (k)`,
    `INSERT INTO t SELECT i, i % 50, 'value ' || i, repeat('x', i % 200) FROM generate_series(1, 5000) i`,
    // Hot updates with and without common prefix and suffix.
    `UPDATE t SET v = v || ' changed' WHERE id % 3 = 0`,
    `UPDATE t SET w = 'y' || w WHERE id % 5 = 0`,
    `UPDATE t SET v = left(v, 3) || 'mid' || right(v, 2) WHERE id % 7 = 0`,
    // Updates of an indexed column, to other pages.
    `UPDATE t SET k = k + 100, w = repeat('z', 500) WHERE id % 4 = 0`,
    `DELETE FROM t WHERE id % 11 = 0`,
    `SELECT count(*) FROM t`,
    `VACUUM t`,
    // All-visible pages lose their mark through each kind of change.
    `UPDATE t SET v = 'after vacuum' WHERE id BETWEEN 100 AND 140`,
    `DELETE FROM t WHERE id BETWEEN 200 AND 230`,
    `INSERT INTO t SELECT i, i, 'again', NULL FROM generate_series(10001, 10400) i`,
    `VACUUM (FREEZE) t`,
    `BEGIN; SELECT 1 FROM t WHERE id < 90 FOR UPDATE; COMMIT`,
    `BEGIN; SELECT 1 FROM t WHERE id BETWEEN 300 AND 340 FOR KEY SHARE; ROLLBACK`,
    `UPDATE t SET k = 1 WHERE id BETWEEN 400 AND 900`,
    `VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) t`,
    // In-place updates and truncation of the tail.
    `DELETE FROM t WHERE id > 3000`,
    `VACUUM (TRUNCATE) t`,
    `ANALYZE t`,
    `INSERT INTO t SELECT i, i, 'tail', repeat('q', 300) FROM generate_series(20001, 21000) i`,
    `CREATE TABLE keyed (a int PRIMARY KEY, b text)`,
    `INSERT INTO keyed SELECT i, 'b' FROM generate_series(1, 300) i ON CONFLICT DO NOTHING`,
    `INSERT INTO keyed SELECT i, 'c' FROM generate_series(200, 400) i ON CONFLICT (a) DO UPDATE SET b = excluded.b || keyed.b`,
    `CREATE TABLE parted (a int, b text) PARTITION BY RANGE (a)`,
    `CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)`,
    `CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200)`,
    `INSERT INTO parted SELECT i, 'p' FROM generate_series(0, 99) i`,
    `UPDATE parted SET a = a + 100 WHERE a < 50`,
    `CREATE TABLE wide (a int, b text)`,
    `ALTER TABLE wide ALTER b SET STORAGE EXTERNAL`,
    `INSERT INTO wide SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, 40) i`,
    `UPDATE wide SET b = repeat(md5(b), 700) WHERE a % 2 = 0`,
    `DELETE FROM wide WHERE a % 3 = 0`,
    `VACUUM wide`,
  );
  const file = `${server.scratchDir}/rows.csv`;
  await run(
    db,
    `COPY (SELECT i, i % 9, 'copied ' || i, repeat('c', i % 60) FROM generate_series(30001, 36000) i) TO '${file}'`,
    `COPY t FROM '${file}'`,
    `VACUUM t`,
    `DELETE FROM t WHERE id > 31000 AND id % 2 = 0`,
    `COPY t FROM PROGRAM 'head -n 0 ${file}'`,
    `BEGIN; CREATE TABLE frozen (LIKE t); COPY frozen FROM '${file}' (FREEZE); COMMIT`,
    `INSERT INTO frozen SELECT * FROM t LIMIT 20`,
  );
};

/** Two sessions that lock and update the same rows, so that xmax becomes a multixact. */
const sharedLocks: Step = async (server, db) => {
  const other = await server.connect();
  try {
    await run(
      db,
      `CREATE TABLE shared (id int PRIMARY KEY, v int)`,
      `INSERT INTO shared SELECT i, 0 FROM generate_series(1, 60) i`,
      `VACUUM (FREEZE) shared`,
    );
    for (let i = 1; i <= 10; i++) {
      await run(db, 'BEGIN', `SELECT 1 FROM shared WHERE id BETWEEN ${i} AND ${i + 30} FOR KEY SHARE`);
      await run(
        other,
        'BEGIN',
        `SELECT 1 FROM shared WHERE id BETWEEN ${i} AND ${i + 10} FOR SHARE`,
        `UPDATE shared SET v = v + 1 WHERE id BETWEEN ${i + 11} AND ${i + 20}`,
      );
      // The updated version's predecessors are still locked by `db`: its lock must follow the update chain.
      await run(db, `SELECT 1 FROM shared WHERE id BETWEEN ${i + 11} AND ${i + 20} FOR KEY SHARE`);
      await run(other, i % 3 === 0 ? 'ROLLBACK' : 'COMMIT');
      await run(db, i % 4 === 0 ? 'ROLLBACK' : 'COMMIT');
    }
    // A snapshot from before an update locks the old version: LOCK_UPDATED walks to the new one.
    await run(db, 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM shared');
    await run(other, 'UPDATE shared SET v = v + 100 WHERE id <= 20', 'VACUUM (FREEZE) shared');
    await run(db, 'SELECT 1 FROM shared WHERE id <= 20 FOR KEY SHARE', 'COMMIT');
    await run(db, 'VACUUM (FREEZE) shared', 'DELETE FROM shared WHERE id % 2 = 0', 'VACUUM shared');
  } finally {
    await other.end();
  }
};

/** Two sessions insert the same key at once: one of the speculative insertions is taken back. */
const speculation: Step = async (server, db) => {
  await run(
    db,
    `CREATE TABLE race (a int PRIMARY KEY, b int)`,
    `CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN $1; END $$`,
    `CREATE UNIQUE INDEX race_slow ON race (slow(b))`,
  );
  const sessions = await Promise.all([server.connect(), server.connect(), server.connect()]);
  try {
    for (let i = 0; i < 5; i++) {
      await Promise.all(sessions.map((session) => session.query(`INSERT INTO race VALUES (${i}, ${i}) ON CONFLICT DO NOTHING`)));
    }
  } finally {
    await Promise.all(sessions.map((session) => session.end()));
  }
};

const indexes: Step = async ({ scale }, db) => {
  const n = (rows: number): number => Math.round(rows * scale);
  await run(
    db,
    // Duplicates: posting lists, deduplication, splits of posting lists.
    `CREATE TABLE dup (a int, b text, c int)`,
    `CREATE INDEX dup_a ON dup (a)`,
    `CREATE INDEX dup_b ON dup (b)`,
    `CREATE INDEX dup_plain ON dup (a, c) WITH (deduplicate_items = off)`,
    `INSERT INTO dup SELECT (random() * 20)::int, 'key ' || (random() * 100)::int, i FROM generate_series(1, ${n(20000)}) i`,
    `DELETE FROM dup WHERE c % 7 = 0`,
    `VACUUM dup`,
    `INSERT INTO dup SELECT (random() * 20)::int, 'key ' || (random() * 100)::int, i FROM generate_series(1, ${n(8000)}) i`,
    `DELETE FROM dup WHERE c % 3 = 0 OR a = 5`,
    `VACUUM dup`,
    // Large keys: three levels; ranges deleted: half-dead pages, unlinking, a new fast root.
    `CREATE TABLE big (k text, n int)`,
    `CREATE INDEX big_k ON big (k)`,
    `INSERT INTO big SELECT md5(i::text) || repeat(md5((i * 7)::text), 20), i FROM generate_series(1, ${n(6000)}) i`,
    `DELETE FROM big WHERE k > '1'`,
    `VACUUM big`,
    `INSERT INTO big SELECT md5(i::text) || repeat('k', 600), i FROM generate_series(7000, ${7000 + n(2000)}) i`,
    `DELETE FROM big`,
    `VACUUM big`,
    `VACUUM big`,
    `INSERT INTO big SELECT md5(i::text) || repeat('k', 900), i FROM generate_series(1, ${n(3000)}) i`,
    `CREATE TABLE ascending (n bigint PRIMARY KEY)`,
    `INSERT INTO ascending SELECT i FROM generate_series(1, ${n(20000)}) i`,
    `DELETE FROM ascending WHERE n BETWEEN ${n(2000)} AND ${n(15000)}`,
    `VACUUM ascending`,
    `INSERT INTO ascending SELECT -i FROM generate_series(1, ${n(8000)}) i`,
    `DELETE FROM ascending WHERE n < ${n(15000)}`,
    `VACUUM ascending`,
    `INSERT INTO ascending SELECT i FROM generate_series(30000, ${30000 + n(10000)}) i`,
    `REINDEX INDEX dup_a`,
    // Versions of the same rows: bottom-up deletion.
    `CREATE TABLE churn (id int PRIMARY KEY, a int, b int)`,
    `CREATE INDEX churn_a ON churn (a)`,
    `CREATE INDEX churn_b ON churn (b)`,
    `INSERT INTO churn SELECT i, i, i % 10 FROM generate_series(1, 500) i`,
  );
  for (let i = 0; i < 40; i++)
    await run(db, `UPDATE churn SET b = b + 1 WHERE id % 2 = ${i % 2}`, `SELECT count(*) FROM churn WHERE a BETWEEN 1 AND 200`);
  await run(db, `SET enable_seqscan = off`, `SELECT count(*) FROM churn WHERE b > 0`, `RESET enable_seqscan`, `VACUUM churn`);
};

const sequences: Step = async (_server, db) => {
  await run(
    db,
    `CREATE SEQUENCE s INCREMENT 3 MINVALUE 5`,
    `SELECT nextval('s') FROM generate_series(1, 200)`,
    `SELECT setval('s', 5000)`,
    `ALTER SEQUENCE s RESTART WITH 11`,
    `CREATE TABLE ident (a int GENERATED ALWAYS AS IDENTITY, b serial)`,
    `INSERT INTO ident SELECT FROM generate_series(1, 100)`,
    `BEGIN; TRUNCATE ident RESTART IDENTITY; ROLLBACK`,
    `TRUNCATE ident RESTART IDENTITY`,
  );
};

/**
 * Subtransactions past the cache of 64, prepared transactions with them, and enough xids and multixacts to fill pages.
 */
const transactions: Step = async (_server, db) => {
  await run(
    db,
    `CREATE TABLE x (a int, b int)`,
    `INSERT INTO x VALUES (1, 0)`,
    `DO $$ BEGIN FOR i IN 1..150 LOOP BEGIN INSERT INTO x VALUES (i, i); IF i % 3 = 0 THEN RAISE 'back'; END IF; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$`,
    `BEGIN; SAVEPOINT one; INSERT INTO x VALUES (1000); SAVEPOINT two; INSERT INTO x VALUES (1001); ROLLBACK TO two; COMMIT`,
    `BEGIN; INSERT INTO x VALUES (2000); SAVEPOINT one; INSERT INTO x VALUES (2001); ROLLBACK`,
    `CREATE PROCEDURE spend(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$`,
    `CALL spend(36000)`,
    // Each round locks a row in the transaction and again in a subtransaction: one multixact.
    `DO $$ BEGIN FOR i IN 1..2300 LOOP PERFORM 1 FROM x WHERE a = 1 FOR KEY SHARE; BEGIN UPDATE x SET b = i WHERE a = 1; RAISE 'back'; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$`,
  );
  await prepare(db, 'done');
  await prepare(db, 'undone');
  await run(db, `COMMIT PREPARED 'done'`, `ROLLBACK PREPARED 'undone'`);
};

const files: Step = async (server, db) => {
  await run(
    db,
    `CREATE TABLE gone AS SELECT i FROM generate_series(1, 3000) i`,
    `VACUUM gone`,
    `BEGIN; DROP TABLE gone; ROLLBACK`,
    `DROP TABLE gone`,
    `BEGIN; CREATE TABLE never (a int PRIMARY KEY); INSERT INTO never VALUES (1); ROLLBACK`,
    `CREATE UNLOGGED TABLE fast (a int PRIMARY KEY, b serial)`,
    `INSERT INTO fast SELECT generate_series(1, 500)`,
    `CREATE TEMP TABLE passing (a int)`,
    `INSERT INTO passing SELECT generate_series(1, 500)`,
    `ALTER TABLE fast SET LOGGED`,
    `TRUNCATE keyed, x`,
    `INSERT INTO x SELECT i, i FROM generate_series(1, 500) i`,
    `VACUUM FULL dup`,
    `CLUSTER churn USING churn_pkey`,
    `VACUUM FULL pg_class`,
    `VACUUM FULL pg_database`,
    `REINDEX TABLE pg_attribute`,
    `SELECT lo_from_bytea(0, convert_to(repeat('large', 2000), 'UTF8'))`,
    `ALTER TABLE t ADD COLUMN extra int DEFAULT 7`,
    `ALTER TABLE t ALTER COLUMN k TYPE bigint`,
    `CREATE MATERIALIZED VIEW m AS SELECT k, count(*) FROM t GROUP BY k`,
    `REFRESH MATERIALIZED VIEW m`,
    `SELECT pg_logical_emit_message(true, 'test', 'hello')`,
    `SELECT pg_replication_origin_create('elsewhere')`,
    `SELECT pg_replication_origin_advance('elsewhere', '0/1234')`,
    `SELECT pg_log_standby_snapshot()`,
    `SELECT pg_create_restore_point('here')`,
    `SELECT pg_switch_wal()`,
    `SET allow_in_place_tablespaces = on`,
    `CREATE TABLESPACE elsewhere LOCATION ''`,
    `CREATE TABLE placed (a int PRIMARY KEY) TABLESPACE elsewhere`,
    `INSERT INTO placed SELECT generate_series(1, 2000)`,
    `ALTER TABLE dup SET TABLESPACE elsewhere`,
    `CREATE DATABASE copied STRATEGY = FILE_COPY`,
    `CREATE DATABASE logged STRATEGY = WAL_LOG TEMPLATE template0`,
    `CREATE DATABASE removed STRATEGY = WAL_LOG`,
    `CREATE DATABASE moved STRATEGY = FILE_COPY`,
    `ALTER DATABASE moved SET TABLESPACE elsewhere`,
    `DROP DATABASE removed`,
    `CREATE TABLESPACE emptied LOCATION ''`,
    `DROP TABLESPACE emptied`,
    `SELECT pg_replication_origin_create('forgotten')`,
    `SELECT pg_replication_origin_advance('forgotten', '0/99')`,
    `SELECT pg_replication_origin_drop('forgotten')`,
    `SELECT pg_backup_start('backup', true)`,
    `SELECT pg_backup_stop(false)`,
    `ALTER SYSTEM SET full_page_writes = on`,
    `SELECT pg_reload_conf()`,
    `CHECKPOINT`,
    `ALTER SYSTEM RESET full_page_writes`,
    `SELECT pg_reload_conf()`,
    `CHECKPOINT`,
  );
  for (const database of ['copied', 'logged', 'moved']) {
    const inside = await server.connect(database);
    await run(inside, `CREATE TABLE inside (a int PRIMARY KEY)`, `INSERT INTO inside SELECT generate_series(1, 700)`, `VACUUM FREEZE`);
    await inside.end();
  }
  await run(db, `VACUUM`, `VACUUM (FREEZE)`);
};

async function prepare(db: Client, gid: string): Promise<void> {
  await run(
    db,
    'BEGIN',
    `CREATE TABLE by_${gid} (a int)`,
    `INSERT INTO by_${gid} SELECT generate_series(1, 10)`,
    'SAVEPOINT s',
    `INSERT INTO x VALUES (3000, 1)`,
    `PREPARE TRANSACTION '${gid}'`,
  );
}

/** Freezes every database, so that old transaction status is cut off. */
const truncation: Step = async (server, db) => {
  await run(db, `ALTER DATABASE template0 ALLOW_CONNECTIONS true`);
  const { rows } = await db.query<{ datname: string }>('SELECT datname FROM pg_database');
  for (const { datname } of rows) {
    const inside = await server.connect(datname);
    await run(inside, 'SET vacuum_freeze_min_age = 0', 'SET vacuum_multixact_freeze_min_age = 0', 'VACUUM (FREEZE, DISABLE_PAGE_SKIPPING)');
    await inside.end();
  }
  await run(db, `ALTER DATABASE template0 ALLOW_CONNECTIONS false`, 'VACUUM (FREEZE)');
};

/** A transaction that stays prepared, and one whose client goes away. */
const leftovers: Step = async (server, db) => {
  await prepare(db, 'kept');
  const doomed = await server.connect();
  await run(doomed, 'BEGIN', 'INSERT INTO x VALUES (4000, 1)', 'SAVEPOINT a', 'INSERT INTO x VALUES (4001, 1)');
  await doomed.end();
};

/** Runs every step once, in an order in which later steps build on earlier ones. */
export async function runWorkload(server: WorkloadServer): Promise<void> {
  const db = await server.connect();
  try {
    for (const step of [tuples, sharedLocks, speculation, indexes, sequences, transactions, files, truncation, leftovers])
      await step(server, db);
  } finally {
    await db.end();
  }
}
