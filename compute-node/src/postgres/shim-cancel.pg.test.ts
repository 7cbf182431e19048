import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';

/** No answer comes from storage while these tests wait. On a busy machine a step takes seconds, never this long. */
const LONG_MS = 60_000;

let volume: FixtureVolume;
let agent: FixtureAgent;
let admin: Client;
beforeAll(async () => {
  volume = await fixtureVolume();
}, LONG_MS);
beforeEach(async () => {
  agent = await new FixtureAgent(volume).start({ autovacuum: 'off', max_parallel_workers_per_gather: 2 });
  admin = await agent.connect();
  // What this session itself needs while storage is silent is in its caches from now on.
  const victim = await agent.connect();
  const { rows } = await victim.query('select pg_backend_pid() as pid');
  await admin.query('select pg_cancel_backend($1)', [rows[0].pid]);
  await admin.query('select pg_terminate_backend($1)', [rows[0].pid]);
  await untilEnded(rows[0].pid);
}, LONG_MS);
afterEach(() => agent.stop(), LONG_MS);
afterAll(() => volume?.remove());

/** A session that has looked its statement's tables up; then storage goes silent. */
async function whereStorageIsSilent(statement: string, settings: string[] = []): Promise<{ client: Client; pid: number }> {
  const client = await agent.connect();
  for (const setting of settings) await client.query(setting);
  await client.query(`explain ${statement}`);
  const { rows } = await client.query('select pg_backend_pid() as pid');
  agent.holdReads();
  agent.reads.length = 0;
  return { client, pid: rows[0].pid };
}

const outcome = (query: Promise<unknown>): Promise<unknown> =>
  query.then(
    () => 'done',
    (error: unknown) => error,
  );
const waitsForPage = (): Promise<void> => expect.poll(() => agent.reads.length).toBeGreaterThan(0);
async function untilEnded(pid: number): Promise<void> {
  await expect.poll(async () => (await admin.query('select from pg_stat_activity where pid = $1', [pid])).rowCount).toBe(0);
}

/** Reads that the backend does itself, and reads that an I/O worker does for it. */
const STATEMENTS = [
  [
    'an index scan',
    'select description from pg_description where objoid = 2147',
    ['set enable_seqscan = off', 'set enable_bitmapscan = off'],
  ],
  ['a sequential scan', 'select sum(length(description)) from pg_description', ['set max_parallel_workers_per_gather = 0']],
  [
    'a parallel scan',
    'select sum(length(description)) from pg_description',
    ['set parallel_setup_cost = 0', 'set parallel_tuple_cost = 0', 'set min_parallel_table_scan_size = 0', 'set debug_parallel_query = on'],
  ],
] as const;

test.each(STATEMENTS)(
  'statement_timeout ends %s that waits for a page',
  async (_what, statement, settings) => {
    const { client } = await whereStorageIsSilent(statement, [...settings]);
    await client.query("set statement_timeout = '200ms'");
    expect(await outcome(client.query(statement))).toMatchObject({
      severity: 'ERROR',
      code: '57014',
      message: 'canceling statement due to statement timeout',
    });
    // The session is sound, and so is the page once storage is back.
    agent.releaseReads();
    await client.query('set statement_timeout = 0');
    expect(await outcome(client.query(statement))).toBe('done');
    await client.end();
  },
  2 * LONG_MS,
);

test.each(STATEMENTS)(
  'pg_cancel_backend ends %s that waits for a page',
  async (_what, statement, settings) => {
    const { client, pid } = await whereStorageIsSilent(statement, [...settings]);
    const ended = outcome(client.query(statement));
    await waitsForPage();
    await admin.query('select pg_cancel_backend($1)', [pid]);
    expect(await ended).toMatchObject({ code: '57014', message: 'canceling statement due to user request' });
    agent.releaseReads();
    expect(await outcome(client.query(statement))).toBe('done');
    await client.end();
  },
  2 * LONG_MS,
);

test.each(STATEMENTS)(
  'pg_terminate_backend ends %s that waits for a page, and its process',
  async (_what, statement, settings) => {
    const { client, pid } = await whereStorageIsSilent(statement, [...settings]);
    const ended = outcome(client.query(statement));
    await waitsForPage();
    await admin.query('select pg_terminate_backend($1)', [pid]);
    expect(await ended).toMatchObject({ severity: 'FATAL', code: '57P01', message: expect.stringMatching(/terminating connection/) });
    await untilEnded(pid);
    // The I/O workers are free for others, who read the same pages.
    agent.releaseReads();
    const next = await agent.connect();
    expect(await outcome(next.query(statement))).toBe('done');
    await next.end();
  },
  2 * LONG_MS,
);

test(
  'reads that were given up are not asked for any longer',
  async () => {
    const [, statement, settings] = STATEMENTS[0];
    const { client, pid } = await whereStorageIsSilent(statement, [...settings]);
    const ended = outcome(client.query(statement));
    await waitsForPage();
    await admin.query('select pg_cancel_backend($1)', [pid]);
    await ended;
    await expect.poll(() => agent.abandonedReads).toBeGreaterThan(0);
    expect(agent.errors).toEqual([]);
    await client.end();
  },
  LONG_MS,
);

test(
  'a cancel is a cancel to a function that catches errors: WHEN OTHERS does not take it for a broken disk',
  async () => {
    const [, statement, settings] = STATEMENTS[0];
    await admin.query(`create function careless() returns text language plpgsql as $$
      begin perform (${statement}); return 'done'; exception when others then return 'caught ' || sqlstate; end $$`);
    const { client } = await whereStorageIsSilent(statement, [...settings]);
    await client.query("set statement_timeout = '500ms'");
    agent.releaseReads();
    await outcome(client.query("select 'compiles' from (select careless() where false) t"));
    agent.holdReads();
    expect(await outcome(client.query('select careless()'))).toMatchObject({ code: '57014' });
    await client.end();
  },
  LONG_MS,
);

test(
  'a copy of a database file that waits for a page can be cancelled',
  async () => {
    const copy = 'create database copy template template0 strategy file_copy';
    const client = await agent.connect();
    await client.query('create database warm template template1 strategy file_copy');
    const { rows } = await client.query('select pg_backend_pid() as pid');
    agent.holdReads();
    agent.reads.length = 0;
    const ended = outcome(client.query(copy));
    await waitsForPage();
    await admin.query('select pg_cancel_backend($1)', [rows[0].pid]);
    expect(await ended).toMatchObject({ code: '57014', message: 'canceling statement due to user request' });
    agent.releaseReads();
    expect(await outcome(client.query(copy))).toBe('done');
    await client.end();
  },
  2 * LONG_MS,
);
