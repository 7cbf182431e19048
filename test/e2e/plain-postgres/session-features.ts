/** What several sessions do at once: prepared transactions, row locks, isolation, messages. */
import type { Client } from 'pg';
import { expect } from 'vitest';
import { column, type Feature, run, value } from './feature.ts';

const account = (name: string): string =>
  `create table ${name} (id int primary key, balance int); insert into ${name} select i, 100 from generate_series(1, 20) i`;

const twoPhase: Feature = {
  name: 'two-phase commit over a kill',
  make: async ({ db }) => {
    await run(db, account('prepared'), `create table prepared_parent (id int)`);
    await run(
      db,
      `begin; update prepared set balance = 1 where id = 1; savepoint s; update prepared set balance = 2 where id = 2; release s;
       savepoint gone; update prepared set balance = 666 where id = 3; rollback to gone; prepare transaction 'to commit'`,
      `begin; update prepared set balance = 777 where id = 4; insert into prepared values (100, 777); prepare transaction 'to roll back'`,
      `begin; create table prepared_new as select i from generate_series(1, 1000) i; drop table prepared_parent; prepare transaction 'with files'`,
      `begin; select * from prepared where id = 5 for share; prepare transaction 'with a row lock'`,
      `begin; select * from prepared where id = 5 for share; commit`,
    );
  },
  check: async ({ db }) => {
    const names = ['to commit', 'to roll back', 'with a row lock', 'with files'];
    expect(await column(db, 'select gid from pg_prepared_xacts order by 1')).toEqual(names);
    expect(await value(db, 'select count(*) from prepared where balance = 100')).toBe('20');
    for (const id of [1, 2, 4, 5]) {
      await expect(db.query(`select from prepared where id = ${id} for update nowait`), `row ${id}`).rejects.toMatchObject({
        code: '55P03',
      });
    }
    await run(db, 'begin; select from prepared where id in (3, 6) for update nowait; rollback');
    await expect(db.query('lock table prepared_parent in access share mode nowait')).rejects.toMatchObject({ code: '25P01' });
    await expect(db.query(`set lock_timeout = '50ms'; select * from prepared_parent`)).rejects.toMatchObject({ code: '55P03' });
    await run(db, `set lock_timeout = '5s'`);
    await expect(db.query('select from prepared_new')).rejects.toMatchObject({ code: '42P01' });
  },
  after: async ({ db }) => {
    await run(
      db,
      `commit prepared 'to commit'`,
      `rollback prepared 'to roll back'`,
      `commit prepared 'with files'`,
      `rollback prepared 'with a row lock'`,
    );
    expect(await value(db, `select string_agg(id || '=' || balance, ' ' order by id) from prepared where balance <> 100`)).toBe('1=1 2=2');
    expect(await value(db, 'select count(*) from prepared_new')).toBe('1000');
    expect(await value(db, `select to_regclass('prepared_parent')`)).toBe(null);
    await run(db, 'update prepared set balance = 0 where id = 5');
  },
};

const rowLocks: Feature = {
  name: 'rows locked by several sessions (multixacts)',
  make: async (server) => {
    const { db } = server;
    await run(db, account('locked'), 'create extension if not exists pgrowlocks');
    const [one, two] = [await server.session(), await server.session()];
    await run(one, 'begin; select * from locked for key share');
    await run(two, 'begin; select * from locked where id <= 10 for share; update locked set balance = balance + 1 where id > 10');
    await run(one, 'select * from locked where id <= 5 for share; commit');
    await run(two, 'commit');
    expect(await value(db, `select count(*) from pgrowlocks('locked')`)).toBe('0');
    // Held until the kill.
    await run(one, 'begin; select * from locked where id <= 10 for share');
    await run(
      two,
      'begin; select * from locked where id <= 10 for share; insert into locked values (50, 50); update locked set balance = 666 where id = 12',
    );
    expect(await value(db, `select count(*) from pgrowlocks('locked') where multi`)).toBe('10');
  },
  check: async ({ db }) => {
    expect(await value(db, 'select sum(balance) from locked')).toBe('2010');
  },
  after: async ({ db }) => {
    expect(await value(db, `select count(*) from pgrowlocks('locked')`)).toBe('0');
    await run(db, 'update locked set balance = balance + 1', 'vacuum (freeze) locked');
    expect(await value(db, 'select sum(balance) from locked')).toBe('2030');
  },
};

const subtransactions: Feature = {
  name: 'subtransactions, many and nested, and a transaction that dies with the writer',
  make: async (server) => {
    await run(
      server.db,
      'create table nested (id int, v text)',
      `do $$ begin
         for i in 1..300 loop
           begin
             insert into nested values (i, 'kept');
             if i % 3 = 0 then raise exception 'undo'; end if;
           exception when raise_exception then insert into nested values (i, 'instead');
           end;
         end loop; end $$`,
      `begin; insert into nested values (1001, 'a'); savepoint a; insert into nested values (1002, 'b'); savepoint b;
       insert into nested values (1003, 'c'); rollback to a; insert into nested values (1004, 'd'); commit`,
    );
    const dying = await server.session();
    await run(dying, 'begin');
    for (let i = 0; i < 80; i++) await run(dying, `savepoint s${i}; insert into nested values (${2000 + i}, 'never committed')`);
    await run(dying, `create table never_committed as select i from generate_series(1, 5000) i; delete from nested where id < 100`);
    // Makes sure that the records of the transaction that dies are in the volume.
    await run(server.db, 'create table committed_later (id int)');
  },
  check: async ({ db }) => {
    expect(await value(db, `select count(*) || ' ' || sum(id) from nested where v = 'kept'`)).toBe('200 30000');
    expect(await value(db, `select count(*) || ' ' || sum(id) from nested where v = 'instead'`)).toBe('100 15150');
    expect(await column(db, `select id from nested where id > 1000 order by 1`)).toEqual(['1001', '1004']);
    expect(await value(db, `select to_regclass('never_committed')`)).toBe(null);
  },
  after: ({ db }) => run(db, `update nested set v = 'changed' where id < 1000`, 'create table never_committed (id int)'),
};

/** Resolves with the next notification's payload; rejects after two seconds. */
function notified(client: Client): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no notification within 2 s')), 2000);
    client.once('notification', ({ payload }) => {
      clearTimeout(timer);
      resolve(payload);
    });
  });
}

const messages: Feature = {
  name: 'LISTEN and NOTIFY, advisory locks',
  make: () => Promise.resolve(),
  check: async (server) => {
    const [one, two] = [await server.session(), await server.session()];
    await run(one, 'listen news', 'select pg_advisory_lock(42)');
    const received = notified(one);
    await run(two, `begin; notify news, 'rolled back'; rollback`, `begin; select pg_notify('news', 'committed'); commit`);
    expect(await received).toBe('committed');
    expect(await value(two, 'select pg_try_advisory_lock(42)')).toBe('false');
    await run(one, 'select pg_advisory_unlock(42)');
    expect(await value(two, 'select pg_try_advisory_lock(42)')).toBe('true');
  },
};

const isolation: Feature = {
  name: 'isolation: repeatable reads, write skew refused, deadlocks found',
  make: ({ db }) => run(db, account('isolated')),
  check: async (server) => {
    const [one, two] = [await server.session(), await server.session()];
    await run(one, 'begin isolation level repeatable read', 'select sum(balance) from isolated');
    await run(two, 'begin; update isolated set balance = balance + 1 where id = 1; commit');
    expect(await value(one, 'select sum(balance) from isolated')).toBe('2000');
    await expect(one.query('update isolated set balance = 0 where id = 1')).rejects.toMatchObject({ code: '40001' });
    await run(one, 'rollback');
    await run(two, 'update isolated set balance = 100');

    for (const session of [one, two]) await run(session, 'begin isolation level serializable', 'select sum(balance) from isolated');
    await run(one, 'update isolated set balance = balance - 1 where id = 1', 'commit');
    const skewed = run(two, 'update isolated set balance = balance - 1 where id = 2', 'commit');
    await expect(skewed).rejects.toMatchObject({ code: '40001' });
    await run(two, 'rollback', 'update isolated set balance = 100');

    await run(one, `set deadlock_timeout = '20ms'; begin; update isolated set balance = 1 where id = 3`);
    await run(two, `begin; update isolated set balance = 1 where id = 4`);
    const results = await Promise.allSettled([
      run(one, 'update isolated set balance = 1 where id = 4'),
      run(two, 'update isolated set balance = 1 where id = 3'),
    ]);
    const failed = results.filter((each) => each.status === 'rejected');
    expect(failed.map(({ reason }) => String(reason))).toEqual([expect.stringContaining('deadlock detected')]);
    for (const session of [one, two]) await run(session, 'rollback');
  },
};

const log: Feature = {
  name: 'commit timestamps, WAL switches and messages, checkpoints',
  make: ({ db }) =>
    run(
      db,
      'create table timed (id int, at timestamptz); insert into timed values (1), (2)',
      `select pg_switch_wal()`,
      `select pg_logical_emit_message(false, 'note', repeat('m', 200000)), pg_create_restore_point('here')`,
      'checkpoint',
      'update timed set at = pg_xact_commit_timestamp(xmin)',
      'create table timed_log as select id, pg_xact_commit_timestamp(xmin) as at from timed',
      'select pg_switch_wal()',
    ),
  check: async ({ db }) => {
    expect(
      await value(db, 'select count(*) from timed join timed_log using (id) where timed_log.at = pg_xact_commit_timestamp(timed.xmin)'),
    ).toBe('2');
    expect(await value(db, 'select count(*) from timed join timed_log using (id) where timed.at < timed_log.at')).toBe('2');
    // It would be forgotten with the data directory.
    await expect(db.query(`alter system set work_mem = '9MB'`)).rejects.toThrow('ALTER SYSTEM is not allowed in this environment');
  },
};

export const sessionFeatures: readonly Feature[] = [twoPhase, rowLocks, subtransactions, messages, isolation, log];
