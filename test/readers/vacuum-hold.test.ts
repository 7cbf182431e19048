import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { NO_XMINS, type StandbyXmins } from '@kube-aurora/rpc';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { holdVacuum } from '../../compute-node/src/postgres/vacuum-hold.ts';

let postgres: TestPostgres;
let client: Client;
let xmins: StandbyXmins;
let over: AbortController;
let holding: Promise<void>;
beforeAll(async () => {
  postgres = await startPostgres({ settings: { autovacuum: false, idle_session_timeout: '300ms' } });
  client = await session();
});
afterAll(async () => {
  await client.end();
  await postgres.remove();
});
beforeEach(() => {
  xmins = NO_XMINS;
  over = new AbortController();
  const socket = { dir: postgres.socketDir, port: postgres.port };
  holding = holdVacuum({ socket, xmins: () => xmins, clock: systemClock(), logger: silentLogger() }, over.signal);
});
afterEach(async () => {
  over.abort();
  await holding;
});

/** Of the test's own: it may say nothing for as long as it likes, from its first moment on. */
async function session(): Promise<Client> {
  const one = new Client({ host: postgres.socketDir, port: postgres.port, user: 'postgres', options: '-c idle_session_timeout=0' });
  await one.connect();
  return one;
}

/** The next transaction's id, with its epoch. */
const nextXid = async (): Promise<bigint> =>
  BigInt((await client.query('select pg_snapshot_xmax(pg_current_snapshot()) as xid')).rows[0].xid);
const slots = async (): Promise<unknown[]> =>
  (await client.query('select slot_name, temporary, xmin, catalog_xmin, restart_lsn from pg_replication_slots order by 1')).rows;
const isHeldAt = (xmin: bigint | null, catalogXmin: bigint | null = null): Promise<void> =>
  expect.poll(slots).toEqual([
    {
      slot_name: 'kube_aurora_readers',
      temporary: true,
      xmin: xmin === null ? null : String(xmin),
      catalog_xmin: catalogXmin === null ? null : String(catalogXmin),
      restart_lsn: null,
    },
  ]);
const isReleased = (): Promise<void> => expect.poll(slots).toEqual([]);

async function versionsLeft(): Promise<number> {
  await client.query('vacuum rows');
  const { rows } = await client.query("select count(*)::int as n from heap_page_items(get_raw_page('rows', 0)) where lp_flags = 1");
  return rows[0].n;
}

it('keeps deleted rows for as long as a reader may see them', async () => {
  await client.query('create extension if not exists pageinspect; create table rows as select g from generate_series(1, 10) g');
  const held = await nextXid();
  xmins = { xmin: held, catalogXmin: 0n };
  await isHeldAt(held);
  await client.query('delete from rows where g <= 5');
  expect(await versionsLeft()).toBe(10);
  // Its queries have ended: it says a later one.
  const later = await nextXid();
  xmins = { xmin: later, catalogXmin: 0n };
  await isHeldAt(later);
  expect(await versionsLeft()).toBe(5);
  await client.query('delete from rows where g <= 8');
  expect(await versionsLeft()).toBe(5);
  // A reader comes that is behind: what is there still is kept for it, by an id before.
  xmins = { xmin: held, catalogXmin: 0n };
  await isHeldAt(held);
  // Nobody is heard any more.
  xmins = NO_XMINS;
  await isReleased();
  expect(await versionsLeft()).toBe(2);
});

it('passes over ids of another epoch, and holds for catalogs too', async () => {
  const held = await nextXid();
  xmins = { xmin: held, catalogXmin: held - 1n };
  await isHeldAt(held, held - 1n);
  xmins = { xmin: held + (5n << 32n), catalogXmin: 0n };
  await client.query('select pg_sleep(1.5)');
  await isHeldAt(held, held - 1n);
});

it('comes back after its connection is lost, and is in the way of no ordered shutdown', async () => {
  const held = await nextXid();
  xmins = { xmin: held, catalogXmin: 0n };
  await isHeldAt(held);
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'");
  await isReleased();
  await isHeldAt(held);
  await client.end();
  const startedAt = performance.now();
  await postgres.stop('fast');
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  over.abort();
  await holding;
  await postgres.restart();
  client = await session();
  expect(await slots()).toEqual([]);
});
