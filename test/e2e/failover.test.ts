import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentStatus } from './compute-process.ts';
import { daemonMetrics } from '../faults/observe.ts';
import { Cluster } from './cluster-harness.ts';
import type { Writer } from './compute-process.ts';
import { documentedMetrics, exportedMetrics } from './exported-metrics.ts';

/**
 * Three computes whose role is decided at run time, on one volume, and nobody beside storage that could tell them what to be. Whatever
 * happens to the writer, one of the readers takes its place, and what had been acknowledged is there.
 */

/** Bounds that hold on a busy machine; the times themselves are the fault tables' business. */
const WITHIN_MS = 30_000;

let cluster: Cluster;
let computes: readonly Writer[];
/** Its row is there for good once it is here. */
let acknowledged = 0;

beforeAll(async () => {
  cluster = await Cluster.start({
    role: 'auto',
    readyWithinMs: 150_000,
    env: { AURORA_FAILOVER_AFTER_MS: '1000', AURORA_LEASE_MS: '1000' },
  });
  await cluster.query('create table entries (id int primary key)');
  const readers = [cluster.addInstance('zone-b'), cluster.addInstance('zone-c', { AURORA_PROMOTION_TIER: '2' })];
  computes = [cluster.writer, ...readers];
  for (const reader of readers) reader.start();
  for (const reader of readers) await cluster.writerReady(60_000, reader);
}, 240_000);
afterAll(() => cluster?.destroy());

async function append(writer: Writer): Promise<void> {
  const next = acknowledged + 1;
  await cluster.query('insert into entries values ($1)', [next], writer);
  acknowledged = next;
}

async function entriesOn(compute: Writer): Promise<number[]> {
  return (await cluster.query<{ id: number }>('select id from entries order by id', [], compute)).rows.map(({ id }) => id);
}

const all = (): number[] => Array.from({ length: acknowledged }, (_, index) => index + 1);

/** Who says that it is the writer, and runs; the newest where an old one has not heard yet that it is none. */
async function writerNow(): Promise<{ readonly compute: Writer; readonly status: AgentStatus } | undefined> {
  let newest: { readonly compute: Writer; readonly status: AgentStatus } | undefined;
  for (const compute of computes) {
    if (!compute.running || compute.paused) continue;
    const status = await compute.status();
    if (status?.role !== 'writer' || status.phase !== 'running') continue;
    if (newest === undefined || BigInt(status.epoch) > BigInt(newest.status.epoch)) newest = { compute, status };
  }
  return newest;
}

async function theWriter(): Promise<Writer> {
  const writer = await writerNow();
  if (writer === undefined) throw new Error('nobody is the writer');
  return writer.compute;
}

/** Another than that one is the writer, has all that was acknowledged, and takes more. */
async function takenFrom(old: Writer): Promise<{ readonly compute: Writer; readonly status: AgentStatus }> {
  let taken: Awaited<ReturnType<typeof writerNow>>;
  await cluster.until(
    'another compute is the writer',
    async () => {
      taken = await writerNow();
      return taken !== undefined && taken.compute !== old;
    },
    WITHIN_MS,
  );
  if (taken === undefined) throw new Error('nobody is the writer');
  expect(await entriesOn(taken.compute)).toEqual(all());
  await append(taken.compute);
  return taken;
}

/** It is a reader, and shows what the new writer has written. */
async function follows(compute: Writer): Promise<void> {
  await cluster.until(`${compute.name} follows`, async () => (await compute.status())?.role === 'reader', WITHIN_MS);
  await cluster.writerReady(WITHIN_MS, compute);
  await cluster.until(`${compute.name} has caught up`, async () => (await entriesOn(compute)).length === acknowledged, WITHIN_MS);
  expect(await compute.status()).toMatchObject({ role: 'reader', configuredRole: 'auto', phase: 'running', passwords: [] });
}

describe('without an operator', () => {
  it('the first compute makes the volume and writes, the others read', async () => {
    await append(cluster.writer);
    expect(await cluster.writer.status()).toMatchObject({ role: 'writer', configuredRole: 'auto', phase: 'running' });
    for (const reader of computes.slice(1)) await follows(reader);
  });

  it('the next writer has in its cache what the writer has, and whoever is next by what the settings say, while all run', async () => {
    const [first, second] = computes.slice(1) as [Writer, Writer];
    await cluster.query('create table hot as select g as id, repeat(md5(g::text), 30) as filler from generate_series(1, 4000) g');
    const pids = await Promise.all(computes.map(async (each) => (await each.status())?.postgres.pid));
    const shares = async (): Promise<unknown[]> => Promise.all([first, second].map(async (each) => (await each.status())?.warmth?.share));
    const isWarm = (share: unknown): boolean => typeof share === 'number' && share > 0.9;
    expect(await shares()).toEqual([undefined, undefined]);
    cluster.setFailover({ warmPagesPerSecond: 20_000 });
    await cluster.until('the lowest tier is warm', async () => isWarm((await shares())[0]) && (await shares())[1] === undefined, WITHIN_MS);
    cluster.setFailover({ warmPagesPerSecond: 20_000, tiers: { [second.name]: 0 } });
    await cluster.until('the other one is', async () => isWarm((await shares())[1]) && (await shares())[0] === undefined, WITHIN_MS);
    expect(await Promise.all(computes.map(async (each) => (await each.status())?.postgres.pid))).toEqual(pids);
    cluster.setFailover({});
    await cluster.until('nobody is warmed', async () => (await shares()).every((share) => share === undefined), WITHIN_MS);
  }, 180_000);

  it("a reader takes the writer's place when its PostgreSQL is killed, without waiting for silence", async () => {
    const old = await theWriter();
    await append(old);
    const pid = (await old.status())?.postgres.pid;
    if (pid === undefined) throw new Error('no PostgreSQL');
    const reading = await cluster.connect(computes[1]);
    const backend = 'select pg_backend_pid() as pid, pg_is_in_recovery() as reads';
    const before = (await reading.query<{ pid: number; reads: boolean }>(backend)).rows[0];
    expect(before?.reads).toBe(true);
    process.kill(pid, 'SIGKILL');
    const { compute, status } = await takenFrom(old);
    // Whoever had a session on the reader has it on the writer now.
    expect((await reading.query(backend)).rows).toEqual([{ pid: before?.pid, reads: false }]);
    await reading.end();
    // The lowest tier of those that were there.
    expect(compute).toBe(computes[1]);
    expect(status.failover).toMatchObject({ reason: 'postgresDied', fromInstance: old.name, inPlace: true });
    expect(status.failover?.phases.readyMs).toBeDefined();
    await follows(old);
  }, 90_000);

  it("a reader takes the writer's place when its agent is killed", async () => {
    const old = await theWriter();
    await append(old);
    await old.kill();
    const { status } = await takenFrom(old);
    expect(status.failover).toMatchObject({ reason: 'silent', fromInstance: old.name });
    old.start();
    await follows(old);
    await cluster.until('the third goes on as a reader', async () => (await entriesOn(computes[2] as Writer)).length === acknowledged);
  }, 90_000);

  it('a writer whose agent stood still finds that it is a reader, and has answered nobody meanwhile', async () => {
    const old = await theWriter();
    await append(old);
    const client = await cluster.connect(old);
    old.pause();
    const { status } = await takenFrom(old);
    expect(status.failover).toMatchObject({ reason: 'silent', fromInstance: old.name });
    const late = client.query('select count(*)::int as n from entries').then(
      () => 'answered',
      () => 'refused',
    );
    old.resume();
    expect(await late).toBe('refused');
    await follows(old);
    await client.end().catch(() => undefined);
  }, 90_000);

  it('a reader that is asked to takes the place of a writer that lives; others are told why they cannot', async () => {
    const old = await theWriter();
    await append(old);
    expect(await old.promote()).toMatchObject({ code: 409, message: `${old.name} is the writer already` });
    const [chosen] = computes.filter((one) => one !== old);
    if (chosen === undefined) throw new Error('no reader');
    const third = computes.find((one) => one !== old && one !== chosen);
    if (third === undefined) throw new Error('no third');
    const stays = await cluster.connect(chosen);
    const looks = await cluster.connect(third);
    const pidOf = async (client: Client): Promise<unknown> => (await client.query('select pg_backend_pid() as pid')).rows;
    const pids = [await pidOf(stays), await pidOf(looks)];
    const wrong = await fetch(`http://${chosen.host}:7003/promote`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await chosen.promote()).toMatchObject({
      code: 202,
      message: expect.stringContaining(`takes the place of ${old.name}`) as unknown,
    });
    const { compute, status } = await takenFrom(old);
    expect(compute).toBe(chosen);
    expect(status.failover).toMatchObject({ reason: 'switchover', fromInstance: old.name, goneForMs: 0, inPlace: true });
    await follows(old);
    // The sessions of both readers go on: one can write by now, the other sees what it writes.
    acknowledged++;
    await stays.query('insert into entries values ($1)', [acknowledged]);
    await cluster.until(
      'the third shows it',
      async () => (await looks.query('select from entries where id = $1', [acknowledged])).rowCount === 1,
    );
    expect([await pidOf(stays), await pidOf(looks)]).toEqual(pids);
    await stays.end();
    await looks.end();
    const metrics = await (await fetch(`http://${chosen.host}:7003/metrics`)).text();
    expect(metrics).toMatch(/^aurora_failovers_total\{reason="switchover"\} 1$/m);
  }, 90_000);

  it('every metric of the documentation has a series, and one whose PostgreSQL was promoted goes on being looked at', async () => {
    const writer = await theWriter();
    const reader = computes.find((one) => one !== writer) as Writer;
    // What nothing here has made: a failed read, a slot, an extension, queries of its own, a message or a stranger that was refused, a login with a token.
    const absent = new Set([
      'aurora_page_read_errors_total',
      'aurora_custom_query_up',
      'aurora_slot_retained_bytes',
      'aurora_statement_seconds_total',
      'aurora_statement_calls_total',
      'aurora_storage_refused_messages_total',
      'aurora_tls_refused_connections_total',
      'aurora_token_logins_total',
    ]);
    await cluster.until('the new writer tells how its PostgreSQL is, by every look', async () => {
      const metrics = await (await fetch(`http://${writer.host}:7003/metrics`)).text();
      return ['activity', 'statistics', 'statements'].every((look) => metrics.includes(`aurora_insights_up{look="${look}"} 1`));
    });
    const [ofWriter, ofReader] = await Promise.all([writer, reader].map(({ host }) => exportedMetrics(`http://${host}:7003/metrics`)));
    const missing = (names: readonly string[], ...exported: (ReadonlySet<string> | undefined)[]): readonly string[] =>
      names.filter((name) => !absent.has(name) && !exported.some((some) => some?.has(name)));
    expect(missing(documentedMetrics('Compute agent'), ofWriter, ofReader)).toEqual([]);
    const ofDaemon = await exportedMetrics(daemonMetrics(cluster, 0));
    expect(missing(documentedMetrics('Storage daemon'), ofDaemon)).toEqual([]);
    // The one that was the writer has another PostgreSQL by now: the session that looked at the one before is made anew after some seconds.
    await cluster.until('no look at the reader fails', async () => {
      const { insights } = (await (await fetch(`http://${reader.host}:7003/status`)).json()) as { insights?: { failing: unknown[] } };
      return insights?.failing.length === 0;
    });
  });
});
