import { readFileSync } from 'node:fs';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { Client } from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Adviser } from '../../compute-node/src/advice/adviser.ts';
import { CustomQueries } from '../../compute-node/src/custom-queries/custom-queries.ts';
import { createInsightsMetrics } from '../../compute-node/src/insights/insights-metrics.ts';
import { Insights } from '../../compute-node/src/insights/insights.ts';
import { LOG_LINE_PREFIX, LogRecords, type LogRecord } from '../../compute-node/src/postgres/log-records.ts';

/** What the agent asks, of a real PostgreSQL. */

let postgres: TestPostgres;
let insights: Insights;
let client: Client;
const registry = new Registry();

beforeAll(async () => {
  postgres = await startPostgres({
    settings: {
      shared_preload_libraries: 'pg_stat_statements',
      log_statement: 'all',
      log_min_duration_statement: 0,
      log_line_prefix: LOG_LINE_PREFIX,
    },
  });
  client = await session();
  await client.query('create extension pg_stat_statements');
  await client.query('create table rows (id int primary key, what text)');
  insights = new Insights({
    isServing: () => true,
    socket: { dir: postgres.socketDir, port: postgres.port },
    clock: systemClock(),
    logger: silentLogger(),
  });
  createInsightsMetrics(registry, insights);
});
afterAll(async () => {
  insights?.stop();
  await client?.end();
  await postgres?.remove();
});

/** As a client comes: over the network. */
async function session(): Promise<Client> {
  const one = new Client({ host: '127.0.0.1', port: postgres.port, user: 'postgres', database: 'postgres' });
  one.on('error', () => undefined);
  await one.connect();
  return one;
}

/** The value of one series; undefined when there is none. */
async function valueOf(series: string): Promise<number | undefined> {
  const line = (await registry.metrics()).split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test('says what sessions wait for, what they hold open, and what PostgreSQL counted; and leaves no trace', async () => {
  const holder = await session();
  await holder.query("begin; insert into rows values (1, 'held')");
  const waiter = await session();
  const waiting = waiter.query("insert into rows values (1, 'waits')").catch((error: unknown) => error);
  const sleeper = await session();
  const sleeping = sleeper.query('select pg_sleep(60)').catch((error: unknown) => error);
  await client.query("insert into rows select g, 'x' from generate_series(10, 109) g");
  await client.query("alter role postgres password 'hidden'");
  void insights.run();
  for (const series of [
    'aurora_load_session_seconds_total{type="Lock",event="transactionid"}',
    'aurora_load_session_seconds_total{type="Timeout",event="PgSleep"}',
    'aurora_idle_in_transaction_seconds',
    'aurora_insights_up{look="statistics"}',
    'aurora_insights_up{look="statements"}',
  ])
    await expect.poll(() => valueOf(series), { message: series }).toBeGreaterThan(0);
  expect(insights.looks.map(({ outcome, failures }) => [outcome.kind, failures])).toEqual(insights.looks.map(() => ['taken', 0]));
  expect(await valueOf('aurora_connections{state="active"}')).toBe(2);
  expect(await valueOf('aurora_connections{state="idle"}')).toBe(1);
  expect(await valueOf('aurora_connections{state="idleInTransaction"}')).toBe(1);
  expect(await valueOf('aurora_oldest_transaction_seconds')).toBeGreaterThan(0);
  expect(await valueOf('aurora_connections_limit')).toBe(97);
  expect(await valueOf('aurora_transactions_total{outcome="committed"}')).toBeGreaterThan(3);
  expect(await valueOf('aurora_buffers_total{outcome="hit"}')).toBeGreaterThan(100);
  expect(await valueOf('aurora_xid_age')).toBeGreaterThan(1);
  const texts = (insights.status.statements ?? []).map(({ text }) => text);
  expect(texts).toContain('insert into rows select g, $1 from generate_series($2, $3) g');
  expect(texts).toContain('alter role');
  expect(JSON.stringify(insights.status)).not.toContain('hidden');
  expect(insights.status.load?.waits.map(({ event }) => event)).toContain('PgSleep');

  const held = await client.query(
    "select from pg_stat_activity where application_name = 'kube-aurora insights' and backend_xmin is not null",
  );
  expect(held.rowCount).toBe(0);
  const counted = await client.query("select from pg_stat_statements where query like '%pg_stat_get_activity%'");
  expect(counted.rowCount).toBe(0);
  expect(await postgres.log()).not.toContain('from pg_stat_get_activity(null)');
  await client.query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event in ('PgSleep', 'transactionid')");
  await Promise.all([waiting, sleeping]);
  for (const one of [holder, waiter, sleeper]) await one.end();
});

test('its log is read as records, whatever clients call themselves', async () => {
  const forged = '\nFATAL:  forged';
  // The second is longer than a name may be: PostgreSQL cuts it.
  for (const user of [forged, `${'x'.repeat(60)}${forged.repeat(9)}`]) {
    const stranger = new Client({
      host: '127.0.0.1',
      port: postgres.port,
      user,
      database: `${forged}\x1f`,
      application_name: 'it\n\x1fis',
    });
    await expect(stranger.connect()).rejects.toThrow('does not exist');
  }
  await client.query('select *\n  from nowhere').catch((error: unknown) => error);
  await client.query("set application_name to 'mine'; do $$ begin raise warning 'told' using hint = 'look', detail = 'more'; end $$");
  const records: LogRecord[] = [];
  const log = new LogRecords((record) => records.push(record));
  log.push(Buffer.from(await postgres.log()));
  log.end();
  const said = (message: string | RegExp): LogRecord | undefined => records.find((record) => new RegExp(message).test(record.message));
  expect(said('"nowhere" does not exist')?.postgres).toMatchObject({
    severity: 'ERROR',
    sqlState: '42P01',
    user: 'postgres',
    database: 'postgres',
    backend: 'client backend',
    client: expect.stringMatching(/^127\.0\.0\.1\(\d+\)$/) as string,
    statement: 'select *\n  from nowhere',
  });
  expect(said('^told$')?.postgres).toMatchObject({
    severity: 'WARNING',
    sqlState: '01000',
    application: 'mine',
    hint: 'look',
    detail: 'more',
  });
  const strangers = records.filter(({ postgres: one }) => one?.sqlState === '28000');
  expect(strangers).toHaveLength(2);
  for (const { postgres: one } of strangers)
    expect(one).toMatchObject({ severity: 'FATAL', database: `${forged}\x1f`, user: expect.stringContaining('\nF') as string });
  expect(records.every(({ postgres: one }) => one === undefined || one.pid > 0)).toBe(true);
  expect(records.filter(({ message }) => message.startsWith('forged'))).toEqual([]);
});

test('goes on with another connection when its own is ended', async () => {
  const before = await valueOf('aurora_insights_failures_total{look="activity"}');
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kube-aurora insights'");
  await expect
    .poll(async () => {
      const { rowCount } = await client.query("select from pg_stat_activity where application_name = 'kube-aurora insights'");
      return [rowCount, await valueOf('aurora_insights_up{look="activity"}')];
    })
    .toEqual([1, 1]);
  expect(before).toBe(0);
});

test('finds what there is to advise, in every database, and leaves nothing behind', async () => {
  await client.query(`
    create table bloated (id int) with (autovacuum_enabled = off);
    insert into bloated select generate_series(1, 200000); delete from bloated where id <= 120000;
    create table uncounted with (autovacuum_enabled = off) as select g as id, repeat('x', 400) as what from generate_series(1, 25000) g;
    create table loose (id int, what text) with (autovacuum_enabled = off);
    insert into loose select g, repeat('x', 1900) from generate_series(1, 24000) g; delete from loose where id % 20 > 0;
    create table tight (id int, what text) with (autovacuum_enabled = off, fillfactor = 70);
    insert into tight select g, repeat('x', 1900) from generate_series(1, 18000) g;
    create index one on rows (what); create index two on rows (what); create index partial on rows (what) where id > 5;
    create sequence ending as int; select setval('ending', 2100000000);
    create sequence fresh`);
  await client.query('vacuum analyze loose, tight');
  await client.query('create database "Other one"');
  const other = await postgres.connect('Other one');
  await other.query('create table t (id int primary key); create unique index again on t (id)');
  await other.end();
  const adviser = new Adviser({
    isServing: () => true,
    socket: { dir: postgres.socketDir, port: postgres.port },
    loadPerCore: () => 0,
    pages: () => undefined,
    clock: systemClock(),
    logger: silentLogger(),
  });
  await client.query('select pg_stat_force_next_flush()');
  await adviser.look();
  expect(adviser.status.failing).toEqual([]);
  expect(adviser.status.findings.map(({ id, subject }) => [id, subject])).toEqual([
    ['sequenceEnds', 'postgres: public.ending'],
    ['deadRows', 'postgres: public.bloated'],
    ['neverAnalyzed', 'postgres: public.uncounted'],
    ['bloat', 'postgres: public.loose'],
    ['duplicateIndex', 'Other one: public.again'],
    ['duplicateIndex', 'postgres: public.two'],
  ]);
  // What is shown can be asked.
  for (const { query } of adviser.status.findings) await client.query(query);
  await client.query('vacuum bloated');
  await client.query('analyze uncounted');
  await client.query('drop index two');
  await client.query('vacuum (full, analyze) loose');
  const before = adviser.status.findings[0]?.since;
  await adviser.look();
  expect(adviser.status.findings.map(({ id }) => id)).toEqual(['sequenceEnds', 'duplicateIndex']);
  expect(adviser.status.findings[0]?.since).toBe(before);
  const left = await client.query("select from pg_stat_activity where application_name = 'kube-aurora advice' and state <> 'idle'");
  expect(left.rowCount).toBe(0);
});

test('what the runbooks ask PostgreSQL, it answers', async () => {
  const pages = ['cluster', 'database', 'storage'].map((page) =>
    readFileSync(new URL(`../../docs/runbooks/${page}.md`, import.meta.url), 'utf8'),
  );
  const statements = pages
    .flatMap((page) => [...page.matchAll(/```sql\n([^]*?)```/g)].map(([, sql = '']) => sql))
    .flatMap((sql) => sql.split(';').filter((one) => one.trim() !== ''));
  expect(statements.length).toBeGreaterThan(10);
  for (const sql of statements) await client.query(sql.replace(' TABLE', ' rows'));
});

test("asks the cluster's own queries read-only, as pg_monitor, and says what fails", async () => {
  const queries = new CustomQueries({
    directory: '/nowhere',
    socket: { dir: postgres.socketDir, port: postgres.port },
    database: 'Other one',
    isServing: () => true,
    onAnswered: () => undefined,
    clock: systemClock(),
    logger: silentLogger(),
  });
  const one = (name: string, sql: string): string =>
    `${name}: { query: "${sql}", metrics: [{ who: { usage: LABEL } }, { n: { usage: GAUGE } }] }\n`;
  queries.take(
    new Map([
      [
        'all.yaml',
        one('fine', "select current_user || ' in ' || current_database() as who, count(*) as n from pg_stat_activity;") +
          one('writes', 'with gone as (delete from t returning 1) select 1 as who, count(*) as n from gone') +
          one('two', 'select 1 as who, 1 as n; select 2') +
          one('forbidden', 'select rolpassword as who, 1 as n from pg_authid') +
          one('many', 'select g as who, g as n from generate_series(1, 1000000) g') +
          one('writers', 'select 1 as who, 1 as n').replace('{ query', '{ primary: true, query'),
      ],
    ]),
  );
  await queries.askDue();
  expect(queries.series.map(({ metric, labels }) => [metric, labels['who']])).toEqual([
    ['aurora_custom_fine_n', 'pg_monitor in Other one'],
    ['aurora_custom_writers_n', '1'],
  ]);
  expect(queries.status?.problems).toEqual([]);
  expect(Object.fromEntries((queries.status?.failing ?? []).map(({ query, message }) => [query, message]))).toEqual({
    writes: expect.stringContaining('must not contain data-modifying statements') as unknown,
    two: expect.stringContaining('cannot insert multiple commands') as unknown,
    forbidden: expect.stringContaining('permission denied') as unknown,
    many: expect.stringContaining('more than 100 rows') as unknown,
  });
});
