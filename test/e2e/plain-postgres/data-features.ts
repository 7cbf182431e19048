/** What lives in files of their own: tables, indexes, sequences, large objects, tablespaces. */
import { expect } from 'vitest';
import { column, type Feature, run, value } from './feature.ts';

const copied: Feature = {
  name: 'COPY to and from files and programs',
  make: async ({ db }) => {
    const directory = await value(db, `select current_setting('data_directory') || '/pg_stat_tmp'`);
    await run(
      db,
      `create table copied (id int, v text)`,
      `copy (select i, 'line ' || i from generate_series(1, 2000) i) to '${directory}/rows.csv' with (format csv)`,
      `copy copied from '${directory}/rows.csv' with (format csv)`,
      `copy copied from program 'for i in 2001 2002 2003; do echo $i,program; done' with (format csv)`,
      `begin; create table copied_frozen (id int, v text); copy copied_frozen from '${directory}/rows.csv' with (format csv, freeze); commit`,
      `copy (select * from copied) to program 'cat > ${directory}/rows.bin' with (format binary)`,
      `create table copied_binary (like copied); copy copied_binary from '${directory}/rows.bin' with (format binary)`,
    );
  },
  check: async ({ db }) => {
    expect(await value(db, `select count(*) from copied where v in ('line ' || id, 'program')`)).toBe('2003');
    expect(await value(db, 'select count(*) from copied_frozen')).toBe('2000');
    expect(await value(db, '(select count(*) from (select * from copied except select * from copied_binary))')).toBe('0');
  },
};

const largeObjects: Feature = {
  name: 'large objects',
  make: ({ db }) =>
    run(
      db,
      `select lo_from_bytea(700001, decode(repeat(md5('a'), 20000), 'hex'))`,
      `select lo_from_bytea(700002, 'gone'); select lo_unlink(700002)`,
      `begin; select lo_put(700001, 5, 'patched'); commit; begin; select lo_put(700001, 5, 'lost'); rollback`,
    ),
  check: async ({ db }) => {
    expect(await value(db, `select length(lo_get(700001))`)).toBe('320000');
    expect(await value(db, `select convert_from(lo_get(700001, 5, 7), 'utf8')`)).toBe('patched');
    expect(await value(db, `select md5(lo_get(700001, 12, 400000)) = md5(substr(decode(repeat(md5('a'), 20000), 'hex'), 13))`)).toBe(
      'true',
    );
    await expect(db.query('select lo_get(700002)')).rejects.toMatchObject({ code: '42704' });
  },
  after: ({ db }) => run(db, `select lo_put(700001, 319999, 'longer')`),
};

const sequences: Feature = {
  name: 'sequences and identity columns',
  make: ({ db }) =>
    run(
      db,
      `create sequence counted cache 1; select nextval('counted') from generate_series(1, 100)`,
      `create sequence placed increment 10; select setval('placed', 5000)`,
      `create sequence restarted; select nextval('restarted') from generate_series(1, 50); alter sequence restarted restart 3`,
      `create table numbered (id int generated always as identity primary key, at timestamptz default now())`,
      `insert into numbered select from generate_series(1, 40)`,
    ),
  check: async ({ db }) => {
    // A number taken is never given again; up to 32 may be skipped by a crash.
    expect(Number(await value(db, `insert into numbered default values returning id`))).toBeGreaterThan(40);
    const next = Number(await value(db, `select nextval('counted')`));
    expect(next).toBeGreaterThan(100);
    expect(next).toBeLessThan(140);
    expect(await value(db, `select last_value from placed`)).toBe('5000');
    expect(await value(db, `select last_value from restarted`)).toBe('3');
  },
  after: async ({ db }) => {
    expect(await value(db, `select nextval('placed')`)).toBe('5010');
    expect(await value(db, `select nextval('restarted')`)).toBe('3');
  },
};

/** The same text of `n` times 32 bytes that does not compress. */
const noise = (n: number): string => `(select string_agg(md5(id::text || '/' || k), '') from generate_series(1, ${n}) k)`;

const large: Feature = {
  name: 'large values (TOAST)',
  make: ({ db }) =>
    run(
      db,
      `create table large (id int primary key, plain text, compressed text, outside text)`,
      `alter table large alter outside set storage external`,
      `insert into large select id, ${noise(400)}, repeat('squeeze ' || id, 3000), ${noise(100)} from generate_series(1, 60) id`,
      `insert into large select id, repeat('x', 5000000), null, null from generate_series(61, 61) id`,
      `update large set plain = plain || 'tail' where id % 2 = 0 and id <= 60; delete from large where id % 7 = 0`,
      `begin; update large set outside = 'lost'; rollback`,
    ),
  check: async ({ db }) => {
    const right = `plain = ${noise(400)} || case id % 2 when 0 then 'tail' else '' end and compressed = repeat('squeeze ' || id, 3000) and outside = ${noise(100)}`;
    expect(await value(db, `select count(*) from large where id <= 60 and ${right}`)).toBe('52');
    expect(await value(db, 'select length(plain) from large where id = 61')).toBe('5000000');
  },
  after: ({ db }) => run(db, 'update large set plain = outside || compressed', 'vacuum large'),
};

const unlogged: Feature = {
  name: 'temporary tables, and unlogged ones that a crash empties',
  make: async ({ db }) => {
    await run(
      db,
      `create unlogged table fleeting (id int generated always as identity primary key, v text)`,
      `create index fleeting_v on fleeting using gin (string_to_array(v, ' '))`,
      `insert into fleeting (v) select 'word ' || i from generate_series(1, 5000) i`,
      `create unlogged table promoted (id int primary key); insert into promoted select generate_series(1, 700); alter table promoted set logged`,
      `create temporary table mine (id int primary key, v text); insert into mine select i, 'm' from generate_series(1, 5000) i`,
    );
    expect(await value(db, 'select count(*) from fleeting where id > 0')).toBe('5000');
    expect(await value(db, 'select count(*) from mine where id > 10')).toBe('4990');
  },
  check: async (server) => {
    expect(await value(server.db, 'select count(*) from promoted')).toBe('700');
    const other = await server.session();
    await run(other, 'create temporary table scratch as select i from generate_series(1, 3000) i', 'create index on scratch (i)');
    expect(await value(other, 'select count(*) from scratch where i <= 3000')).toBe('3000');
  },
  after: async ({ db }) => {
    expect(await value(db, 'select count(*) from fleeting')).toBe('0');
    await expect(db.query('select * from mine')).rejects.toMatchObject({ code: '42P01' });
    await run(db, `insert into fleeting (v) select 'again ' || i from generate_series(1, 5000) i`, 'set enable_seqscan = off');
    expect(await value(db, `select count(*) from fleeting where string_to_array(v, ' ') @> '{4999}'`)).toBe('1');
    expect(await value(db, `select count(*) from fleeting where id between 1 and 5000`)).toBe('5000');
    await run(db, 'reset enable_seqscan', 'vacuum fleeting', 'alter table fleeting set logged');
  },
};

const tablespaces: Feature = {
  name: 'tablespaces within the data directory',
  make: async ({ db, within }) => {
    await run(
      db,
      'set allow_in_place_tablespaces = on',
      `create tablespace fast location ''`,
      `create tablespace dropped_space location ''`,
      'drop tablespace dropped_space',
      'create table placed_table (id int primary key using index tablespace fast, v text) tablespace fast',
      `insert into placed_table select i, 'v' || i from generate_series(1, 3000) i`,
      'create table moved (id int)',
      'insert into moved select generate_series(1, 3000)',
      'alter table moved set tablespace fast',
      'create database in_space tablespace fast strategy file_copy',
    );
    await within('in_space', (there) => run(there, 'create table t as select i from generate_series(1, 2000) i'));
  },
  check: async ({ db, within }) => {
    expect(await column(db, `select spcname from pg_tablespace where spcname !~ '^pg_'`)).toEqual(['fast']);
    expect(await value(db, `select count(*) from placed_table where v = 'v' || id`)).toBe('3000');
    expect(await value(db, 'select sum(id) from moved')).toBe('4501500');
    expect(await within('in_space', (there) => value(there, 'select count(*) from t'))).toBe('2000');
  },
  after: ({ db }) =>
    run(
      db,
      'drop database in_space',
      'alter table moved set tablespace pg_default',
      'alter table placed_table set tablespace pg_default',
      'alter index placed_table_pkey set tablespace pg_default',
      'drop tablespace fast',
    ),
};

/** Index by method: what it is on, and a condition that it answers. */
const INDEXES = {
  btree: ['(n)', 'n between 300 and 420'],
  hash: ['(name)', `name = 'name 77'`],
  gin: ['(words)', `words @> array['w5', 'w11']`],
  gist: ['(spot)', `spot <@ box '((100,100),(400,300))'`],
  spgist: ['(name)', `name ^@ 'name 12'`],
  brin: ['(at) with (pages_per_range = 4)', `at between '2026-01-02' and '2026-01-03'`],
  bloom: ['(n, name)', `n = 78 and name = 'name 78'`],
} as const;

const indexes: Feature = {
  name: 'all index types, the same answers as without them',
  make: async ({ db }) => {
    const rows = (from: number, to: number): string =>
      `insert into indexed select i, i % 997, 'name ' || i % 1500, array['w' || i % 7, 'w' || i % 13, 'w' || i % 211],
       point((i * 37) % 1000, (i * 91) % 1000), timestamptz '2026-01-01' + i * interval '20 seconds' from generate_series(${from}, ${to}) i`;
    await run(
      db,
      'create extension if not exists bloom',
      'create table indexed (id int, n int, name text, words text[], spot point, at timestamptz)',
      rows(1, 6000),
      ...Object.entries(INDEXES).map(([method, [on]]) => `create index indexed_${method} on indexed using ${method} ${on}`),
      rows(6001, 12000),
      'delete from indexed where id % 5 = 0',
      `update indexed set n = n + 1, name = name || '7', spot = spot + point(1, 1) where id % 11 = 0`,
      'vacuum analyze indexed',
      rows(12001, 14000),
      `begin; update indexed set n = 350, name = 'name 77' where id % 3 = 0; rollback`,
    );
  },
  check: async ({ db }) => {
    for (const [method, [, where]] of Object.entries(INDEXES)) {
      const ids = `select coalesce(string_agg(id::text, ',' order by id), '') from indexed where ${where}`;
      // The planner is left with this index alone.
      await run(
        db,
        'begin',
        ...Object.keys(INDEXES)
          .filter((each) => each !== method)
          .map((each) => `drop index indexed_${each}`),
      );
      await run(db, 'set local enable_indexscan = off; set local enable_indexonlyscan = off; set local enable_bitmapscan = off');
      const without = await value(db, ids);
      await run(
        db,
        'set local enable_seqscan = off; set local enable_indexscan = on; set local enable_indexonlyscan = on; set local enable_bitmapscan = on',
      );
      expect((await column(db, `explain ${ids}`)).join('\n'), method).toContain(`indexed_${method}`);
      const withIndex = await value(db, ids);
      await run(db, 'rollback');
      expect(without, method).not.toBe('');
      expect(withIndex, method).toBe(without);
    }
  },
  after: ({ db }) =>
    run(
      db,
      'update indexed set n = n + 1, name = name || n, spot = spot + point(5, 5), words = words || array[$$more$$] where id % 2 = 0',
      'vacuum indexed',
    ),
};

export const dataFeatures: readonly Feature[] = [copied, largeObjects, sequences, large, unlogged, tablespaces, indexes];
