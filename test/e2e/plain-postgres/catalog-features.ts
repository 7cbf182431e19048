/** What lives in the catalogs: databases, roles, extensions, definitions. */
import { expect } from 'vitest';
import { column, DATABASE, type Feature, run, value } from './feature.ts';

/** How a database is copied; the last makes PostgreSQL copy files without reading them. */
const COPIES = {
  copy_wal: 'create database copy_wal template original strategy wal_log',
  copy_file: 'create database copy_file template original strategy file_copy',
  copy_clone: 'create database copy_clone template original strategy file_copy',
} as const;

const databases: Feature = {
  name: 'databases, copied with both strategies',
  make: async ({ db, within }) => {
    await run(db, 'create database original');
    await within('original', (original) =>
      run(
        original,
        `create table t (id int primary key, v text)`,
        `insert into t select i, repeat(md5(i::text), 10) from generate_series(1, 3000) i`,
        `create sequence s; select setval('s', 77)`,
        `alter database original set work_mem = '7MB'`,
      ),
    );
    await run(db, COPIES.copy_wal, COPIES.copy_file);
    await run(db, 'set file_copy_method = clone', COPIES.copy_clone, 'reset file_copy_method');
    await run(
      db,
      'create database gone strategy file_copy',
      'drop database gone',
      'create database renamed_from strategy file_copy',
      'alter database renamed_from rename to renamed',
    );
    await within('copy_wal', (copy) => run(copy, `insert into t select i, 'of the copy' from generate_series(3001, 3100) i`));
  },
  check: async ({ db, within }) => {
    const names = await column(db, `select datname from pg_database where datname ~ '^(copy_|gone|original|renamed)' order by 1`);
    expect(names).toEqual(['copy_clone', 'copy_file', 'copy_wal', 'original', 'renamed']);
    for (const [name, rows] of [
      ['original', 3000],
      ['copy_wal', 3100],
      ['copy_file', 3000],
      ['copy_clone', 3000],
    ] as const) {
      await within(name, async (copy) => {
        expect(await value(copy, 'select count(*) from t'), name).toBe(String(rows));
        expect(await value(copy, 'select count(*) from t where id <= 3000 and v <> repeat(md5(id::text), 10)'), name).toBe('0');
        expect(await value(copy, 'select last_value from s'), name).toBe('77');
        expect(await value(copy, 'select id from t where id = 2999'), name).toBe('2999');
      });
    }
    expect(await within('original', (original) => value(original, 'show work_mem'))).toBe('7MB');
  },
  after: async ({ db, within }) => {
    await within('copy_file', (copy) => run(copy, `update t set v = 'changed'`, 'vacuum full t'));
    await run(db, 'drop database renamed', `create database again template copy_file strategy file_copy`);
    expect(await within('again', (again) => value(again, `select count(*) from t where v = 'changed'`))).toBe('3000');
  },
};

const roles: Feature = {
  name: 'roles, grants and row security',
  make: ({ db }) =>
    run(
      db,
      `create role staff; create role reader login password 'reads' in role staff; create role gone_role`,
      `create schema office; grant usage on schema office to staff`,
      `alter default privileges in schema office grant select on tables to staff`,
      `create table office.papers (id int, owner name, secret text)`,
      `insert into office.papers values (1, 'reader', 'a'), (2, 'postgres', 'b')`,
      `alter table office.papers enable row level security`,
      `create policy own on office.papers to staff using (owner = current_user)`,
      `create table office.closed (id int, secret text); revoke all on office.closed from staff; grant select (id) on office.closed to staff`,
      `alter role reader set statement_timeout = '1234ms'; drop role gone_role`,
    ),
  check: async (server) => {
    const reader = await server.session('reader', DATABASE, 'reads');
    expect(await column(reader, 'select secret from office.papers')).toEqual(['a']);
    expect(await value(reader, 'show statement_timeout')).toBe('1234ms');
    expect(await value(reader, 'select count(id) from office.closed')).toBe('0');
    await expect(reader.query('select secret from office.closed')).rejects.toMatchObject({ code: '42501' });
    await expect(reader.query('insert into office.papers values (3)')).rejects.toMatchObject({ code: '42501' });
    await expect(server.session('reader', DATABASE, 'wrong')).rejects.toMatchObject({ code: '28P01' });
    await expect(server.session('gone_role', DATABASE, 'x')).rejects.toMatchObject({ code: '28P01' });
  },
};

/** Those that come with PostgreSQL but for the ones that need another language's interpreter. */
const EXTENSIONS = `select name from pg_available_extensions where name !~ 'pl(perl|python|tcl)' order by name`;

const extensions: Feature = {
  name: 'all extensions that come with PostgreSQL',
  make: async ({ db }) => {
    const names = await column(db, EXTENSIONS);
    expect(names).toEqual(expect.arrayContaining(['amcheck', 'hstore', 'pg_stat_statements', 'pg_trgm', 'pgcrypto', 'postgres_fdw']));
    for (const name of names) await run(db, `create extension if not exists "${name}" cascade`);
    await run(
      db,
      `create table sealed (v bytea); insert into sealed values (pgp_sym_encrypt('a secret', 'key'))`,
      `create table attributes (h hstore, path ltree, mail citext, vector cube)`,
      `insert into attributes values ('a=>1,b=>2', 'top.middle.leaf', 'SOME@one', '(1,2,3)')`,
    );
  },
  check: async ({ db }) => {
    const missing = `select name from pg_available_extensions where installed_version is null and name !~ 'pl(perl|python|tcl)'`;
    expect(await column(db, missing)).toEqual([]);
    expect(await value(db, `select pgp_sym_decrypt(v, 'key') from sealed`)).toBe('a secret');
    const found = `select h -> 'b' from attributes where path <@ 'top.middle' and mail = 'some@ONE' and vector <@ '(0,0,0),(9,9,9)'`;
    expect(await value(db, found)).toBe('2');
    expect(await value(db, `select similarity('kube', 'cube') > 0.2`)).toBe('true');
    await run(db, 'select 4321 as marked');
    expect(await value(db, `select count(*) > 0 from pg_stat_statements where query like '%as marked'`)).toBe('true');
  },
};

const definitions: Feature = {
  name: 'DDL in transactions, rolled back and committed',
  make: async ({ db }) => {
    await run(
      db,
      `create table shape (id int, v text); insert into shape select i, 'row ' || i from generate_series(1, 500) i`,
      `begin; alter table shape add column lost int default 5; create index lost_index on shape (v);
       create table lost_table (id int); insert into lost_table values (1); drop table shape; rollback`,
      `begin; alter table shape add column kept int default 7, alter column v type varchar(50); create unique index shape_id on shape (id);
       savepoint s; alter table shape drop column v; rollback to s; commit`,
      `begin; truncate shape; insert into shape values (1, 'lost'); rollback`,
      `create table emptied (id int); insert into emptied select generate_series(1, 999); truncate emptied; insert into emptied values (5)`,
      `create table rewritten (id int primary key, v text); insert into rewritten select i, repeat('r', 300) from generate_series(1, 3000) i`,
      `delete from rewritten where id % 3 <> 0`,
      `vacuum full rewritten`,
      `cluster rewritten using rewritten_pkey`,
      `create table parts (id int, v text) partition by range (id); create table parts_a partition of parts for values from (0) to (100);
       create table parts_b partition of parts for values from (100) to (200); insert into parts select i, 'p' from generate_series(0, 199) i`,
      `alter table parts detach partition parts_b; create table dropped (id int); drop table dropped`,
    );
    await expect(db.query(`create table failing (id int); select 1/0`)).rejects.toThrow('division by zero');
  },
  check: async ({ db }) => {
    const columns = `select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum) from pg_attribute
      where attrelid = 'shape'::regclass and attnum > 0 and not attisdropped`;
    expect(await value(db, columns)).toBe('id integer, v character varying(50), kept integer');
    expect(await value(db, `select count(*) from shape where v = 'row ' || id and kept = 7`)).toBe('500');
    expect(await column(db, `select relname from pg_class where relname ~ '^(lost_|dropped|failing)'`)).toEqual([]);
    expect(await column(db, 'select id from emptied')).toEqual(['5']);
    expect(await value(db, `select count(*) from rewritten where v = repeat('r', 300)`)).toBe('1000');
    expect(await value(db, 'select (select count(*) from parts) + 1000 * (select count(*) from parts_b)')).toBe('100100');
  },
  after: ({ db }) =>
    run(db, 'alter table parts attach partition parts_b for values from (100) to (200)', 'vacuum full', 'reindex table shape'),
};

const derived: Feature = {
  name: 'materialized views, triggers, functions and foreign keys',
  make: ({ db }) =>
    run(
      db,
      `create table orders (id int primary key, amount numeric not null check (amount > 0))`,
      `create table lines (order_id int references orders on delete cascade, what text)`,
      `create table journal (note text)`,
      `create function note_order() returns trigger language plpgsql as
       $$ begin insert into journal values (tg_op || ' ' || coalesce(new.id, old.id)); return null; end $$`,
      `create trigger noted after insert or update or delete on orders for each row execute function note_order()`,
      `insert into orders select i, i * 1.5 from generate_series(1, 50) i; insert into lines select i, 'line' from generate_series(1, 50) i`,
      `create materialized view totals as select id % 10 as bucket, sum(amount) as total from orders group by 1`,
      `create unique index totals_bucket on totals (bucket)`,
      `update orders set amount = amount + 1; refresh materialized view concurrently totals; delete from orders where id = 50`,
    ),
  check: async ({ db }) => {
    expect(await value(db, 'select sum(total) from totals')).toBe('1962.5');
    expect(await value(db, 'select count(*) from journal')).toBe('101');
    expect(await value(db, 'select count(*) from lines')).toBe('49');
    await expect(db.query('insert into orders values (99, -1)')).rejects.toMatchObject({ code: '23514' });
    await expect(db.query('insert into lines values (1000)')).rejects.toMatchObject({ code: '23503' });
    await expect(db.query('insert into orders values (1, 1)')).rejects.toMatchObject({ code: '23505' });
  },
  after: async ({ db }) => {
    await run(db, 'insert into orders values (60, 1000)', 'refresh materialized view concurrently totals');
    expect(await value(db, 'select count(*) from journal')).toBe('102');
    expect(await value(db, 'select max(total) > 1000 from totals')).toBe('true');
  },
};

export const catalogFeatures: readonly Feature[] = [extensions, databases, roles, definitions, derived];
