import { readdirSync, statSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume, volumeAfter } from './fixture-agent.ts';
import { RolePasswords } from './role-passwords.ts';
import { LOCAL_PORT } from './supervise.ts';

let volume: FixtureVolume;
/** What the first start left. */
let after: FixtureVolume;
let agent: FixtureAgent | undefined;
beforeAll(async () => {
  volume = await fixtureVolume();
});
afterAll(async () => {
  await agent?.stop();
  volume?.remove();
});

test('a second start from holes has every logged row, sequence and index, and empty unlogged tables', async () => {
  agent = await new FixtureAgent(volume).start({ shared_buffers: '8MB', track_commit_timestamp: true });
  const first = await agent.connect();
  await first.query(`create table kept (id serial primary key, body text); insert into kept (body) select repeat('b', 200) from generate_series(1, 2000);
    create unlogged table lost (id int primary key, doc jsonb); create index on lost using gin (doc); insert into lost values (1, '{"a": 1}');
    create temp table scratch as select g from generate_series(1, 500) g`);
  await first.query(
    'begin; savepoint a; select id from kept where id = 1 for key share; savepoint b; update kept set body = body where id = 1; commit',
  );
  await first.end();
  expect(await agent.postgres.stop('fast')).toEqual({ code: 0, signal: null });
  after = volumeAfter(volume, agent.dataDir);
  await agent.stop();

  agent = await new FixtureAgent(after).start({ shared_buffers: '8MB', track_commit_timestamp: true });
  const second = await agent.connect();
  expect((await second.query('select count(*)::int as rows, max(id) as last from kept')).rows).toEqual([{ rows: 2000, last: 2000 }]);
  expect((await second.query("insert into kept (body) values ('new') returning id > 2000 as fresh")).rows).toEqual([{ fresh: true }]);
  expect((await second.query('select pg_xact_commit_timestamp(xmin) is not null as known from kept where id = 5')).rows).toEqual([
    { known: true },
  ]);
  expect((await second.query('select * from lost')).rows).toEqual([]);
  await second.query(`insert into lost values (1, '{"a": 2}')`);
  await second.query('set enable_seqscan = off');
  expect((await second.query(`select id from lost where doc @> '{"a": 2}'`)).rows).toEqual([{ id: 1 }]);
  await second.query('create extension amcheck');
  await second.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'kept'::regclass");
  await second.end();
});

test('a page from the volume never overwrites what another session writes there at the same time', async () => {
  const racing = await new FixtureAgent(after).start({ shared_buffers: '2MB', autovacuum: 'off', track_commit_timestamp: true });
  try {
    const [writer, reader] = await Promise.all([racing.connect(), racing.connect()]);
    await reader.query('create extension pg_prewarm; create extension amcheck');
    // 'read' goes past the buffers: it fetches pages that the writer has in its own buffers, changed, and is writing
    // out.
    let writing = true;
    const reads = (async () => {
      while (writing) await reader.query("select pg_prewarm('kept', 'read')");
    })();
    for (let id = 1; id <= 1500; id++) {
      await writer.query("update kept set body = 'changed' where id = $1", [id]);
      if (id % 100 === 0) await writer.query('checkpoint');
    }
    writing = false;
    await reads;
    await writer.query("select pg_prewarm('kept', 'read')");
    await writer.query('create table flusher as select repeat($1, 500) from generate_series(1, 8000)', ['f']);
    expect((await writer.query("select count(*)::int as n from kept where body = 'changed'")).rows).toEqual([{ n: 1500 }]);
    await writer.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'kept'::regclass");
    await Promise.all([writer.end(), reader.end()]);
  } finally {
    await racing.stop();
  }
});

test('the directory is sparse, private, and its predecessor is gone', () => {
  if (agent === undefined) throw new Error('the test before this one did not start PostgreSQL');
  const { mode } = statSync(agent.dataDir);
  expect(mode & 0o777).toBe(0o700);
  const files = (name: string): string[] => readdirSync(join(agent?.dataDir ?? '', 'base', name));
  // Nobody has opened it.
  expect(files('1')).toEqual(['PG_VERSION', 'pg_filenode.map']);
  const used = files('.').flatMap((name) => files(name).map((file) => statSync(join(agent?.dataDir ?? '', 'base', name, file))));
  const bytes = used.reduce((sum, file) => sum + file.size, 0);
  expect(used.reduce((sum, file) => sum + file.blocks * 512, 0)).toBeLessThan(bytes * 0.8);
  expect(readdirSync(agent.socketDir).filter((name) => name.includes('.old-'))).toEqual([]);
});

test('applies passwords from files, once, and follows a changed file', async () => {
  if (agent === undefined) throw new Error('PostgreSQL is not running');
  const dir = await mkdtemp('/tmp/aurora-passwords-');
  await chmod(dir, 0o700);
  const passwordFile = join(dir, 'app');
  const socket = { dir: agent.socketDir, port: LOCAL_PORT };
  const client = new Client({ host: agent.socketDir, port: LOCAL_PORT, user: 'postgres', database: 'postgres' });
  await client.connect();
  const verifier = async (): Promise<string> => {
    const { rows } = await client.query("select rolpassword from pg_authid where rolname = 'app'");
    return rows[0].rolpassword;
  };
  const passwords = new RolePasswords({ roles: [{ role: 'app', passwordFile }], clock: systemClock(), logger: silentLogger() });
  const applied = async (): Promise<string | undefined> => {
    await passwords.applyAll(socket);
    return passwords.status[0]?.state;
  };
  expect(await applied()).toBe('missing');
  await writeFile(passwordFile, "it's a secret\n");
  expect(await applied()).toBe('applied');
  const before = await verifier();
  expect(before).toMatch(/^SCRAM-SHA-256\$4096:/);
  expect(await applied()).toBe('applied');
  expect(await verifier()).toBe(before);
  await writeFile(passwordFile, 'another');
  expect(await applied()).toBe('applied');
  expect(await verifier()).not.toBe(before);
  await writeFile(passwordFile, '');
  const last = await verifier();
  expect(await applied()).toBe('empty');
  expect(await verifier()).toBe(last);
  await client.end();
  await rm(dir, { recursive: true });
});
