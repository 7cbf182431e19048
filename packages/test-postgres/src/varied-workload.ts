import type { Client } from 'pg';
import type { TestPostgres } from './start-postgres.ts';

/**
 * Drives a server through nearly all kinds of WAL: every index type, heap updates of all sorts, VACUUM, TOAST, large
 * objects, sequences, multixacts, subtransactions, two-phase commit, DDL, database and tablespace changes, logical
 * messages, segment switches. It asks for no setting; wal_level=logical, track_commit_timestamp and
 * max_prepared_transactions add more kinds.
 */
export async function runVariedWorkload(postgres: TestPostgres): Promise<void> {
  const client = await postgres.connect();
  try {
    await heap(client);
    await indexes(client);
    await bigValues(client);
    await transactions(client, postgres);
    await definitions(client);
    await client.query('checkpoint');
    await client.query('update plain set note = note || note where id % 7 = 0');
    await client.query('vacuum (freeze) plain');
    await client.query('vacuum indexed');
    await client.query('select pg_switch_wal()');
    await client.query("insert into plain (id, note) select g, 'after the switch' from generate_series(100001, 100050) g");
  } finally {
    await client.end();
  }
}

async function heap(client: Client): Promise<void> {
  await client.query(`
    create table plain (id int, n int default 0, note text);
    insert into plain select g, 0, repeat('x', g % 90) from generate_series(1, 4000) g;
    update plain set n = n + 1 where id % 3 = 0;
    update plain set note = repeat('y', 300) where id % 11 = 0;
    delete from plain where id % 5 = 0;
    create index plain_id on plain (id);
  `);
  await client.query('vacuum plain');
  // HOT updates and pruning on access.
  for (let round = 1; round <= 5; round++) await client.query('update plain set n = $1 where id between 10 and 60', [round]);
  await client.query('select count(*) from plain');
  await client.query("insert into plain select g, 1, 'many' from generate_series(4001, 6000) g");
  await client.query('create sequence counter; select nextval($$counter$$) from generate_series(1, 100)');
}

async function indexes(client: Client): Promise<void> {
  await client.query(`
    create table indexed (k int, t text, p point, a int[], r int4range);
    create index on indexed using btree (k);
    create index on indexed using hash (t);
    create index on indexed using gist (p);
    create index on indexed using gin (a);
    create index on indexed using spgist (t);
    create index on indexed using brin (k) with (pages_per_range = 1);
    create index on indexed using gist (r);
  `);
  for (let round = 0; round < 4; round++) {
    await client.query(
      `insert into indexed
       select (g * 7919) % 100000, md5(g::text), point(g % 97, g % 89), array[g % 50, g % 7], int4range(g % 100, g % 100 + 5)
       from generate_series($1::int, $1::int + 1500) g`,
      [round * 1500],
    );
    await client.query('delete from indexed where k % 10 = $1', [round]);
    await client.query('vacuum indexed');
  }
  await client.query('update indexed set k = -k, p = p + point(1, 1) where k % 4 = 1');
  await client.query('delete from indexed where k > 50000');
  await client.query('vacuum indexed');
  await client.query('reindex table indexed');
}

async function bigValues(client: Client): Promise<void> {
  await client.query('create table big (id int, body text)');
  await client.query(
    'alter table big alter body set storage external; insert into big select g, repeat(md5(g::text), 3000) from generate_series(1, 5) g',
  );
  await client.query("select lo_from_bytea(0, convert_to(repeat('large object', 5000), 'UTF8'))");
  // One record longer than a segment, and one not quite a page.
  await client.query("select pg_logical_emit_message(false, 'test', repeat('w', 17 * 1024 * 1024))");
  await client.query("select pg_logical_emit_message(true, 'test', repeat('v', 8100))");
}

async function transactions(client: Client, postgres: TestPostgres): Promise<void> {
  await client.query('begin; insert into plain values (-1); rollback');
  const savepoints = Array.from({ length: 80 }, (_, index) => `savepoint s${index}; insert into plain values (${-index - 2});`);
  await client.query(`begin; ${savepoints.join(' ')} rollback to s40; commit`);
  await client.query('create unlogged table fleeting (id int); insert into fleeting values (1)');

  // Two lockers of the same rows make multixacts.
  const second = await postgres.connect();
  try {
    await client.query('begin');
    await client.query('select * from plain where id between 1 and 40 for key share');
    await second.query('begin');
    await second.query('select * from plain where id between 1 and 40 for share');
    await second.query('update plain set n = -1 where id = 3000');
    await client.query('commit');
    await second.query('commit');
  } finally {
    await second.end();
  }

  const { rows } = await client.query("select current_setting('max_prepared_transactions')::int as slots");
  if (rows[0].slots > 1) {
    await client.query("begin; insert into plain values (7001); prepare transaction 'kept'");
    await client.query("begin; insert into plain values (7002); prepare transaction 'dropped'");
    await client.query("commit prepared 'kept'");
    await client.query("rollback prepared 'dropped'");
  }
}

async function definitions(client: Client): Promise<void> {
  await client.query('create table short_lived (id serial primary key, body text); insert into short_lived (body) values ($$a$$), ($$b$$)');
  await client.query('truncate short_lived');
  await client.query('alter table plain add column extra int default 5');
  await client.query('cluster plain using plain_id');
  await client.query('vacuum full big');
  await client.query('drop table short_lived');
  await client.query(
    'create materialized view summary as select k % 10 as tens, count(*) from indexed group by 1; refresh materialized view summary',
  );
  await client.query('vacuum full pg_class');
  await client.query('create database copied template template0 strategy file_copy');
  await client.query('create database logged template template0 strategy wal_log');
  await client.query('drop database copied');
  await client.query('set allow_in_place_tablespaces = on');
  await client.query("create tablespace elsewhere location ''");
  await client.query('alter table big set tablespace elsewhere');
  await client.query('drop table big');
  await client.query('drop tablespace elsewhere');
}
