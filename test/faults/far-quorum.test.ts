import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openZoneLinks } from '../bench/zone-links.ts';
import { Cluster } from '../e2e/cluster-harness.ts';

/**
 * Zones that are apart: sessions that commit wait for the quorum by themselves (compute-node/src/commit-wait). The writer is killed while many
 * do, and others look at what they see meanwhile.
 */

/** So long that nobody takes it for a machine that is short of cores. */
const DELAY_MS = 20;
const CLIENTS = 8;
const KILLS = 2;

let cluster: Cluster;
let links: Awaited<ReturnType<typeof openZoneLinks>>;

beforeAll(async () => {
  cluster = await Cluster.start({ idle: true, linked: true });
  links = await openZoneLinks(cluster.zoneLinks(), DELAY_MS);
  await cluster.startAll();
  // A writer that was kept waiting for a core may have begun anew by now.
  await cluster.until('there is a table', () =>
    cluster.query('create table if not exists entry (client int, sequence int)').then(
      () => true,
      () => false,
    ),
  );
}, 180_000);
afterAll(async () => {
  await cluster?.destroy();
  links?.close();
}, 30_000);

/** Sequence numbers by client. */
type Sequences = Map<number, number>;

/** Inserts until the server is gone. */
async function insertUntilCut(client: number, acknowledged: Sequences): Promise<void> {
  const connection = await cluster.connect();
  try {
    for (let sequence = (acknowledged.get(client) ?? 0) + 1000; ; sequence++) {
      await connection.query('insert into entry values ($1, $2)', [client, sequence]);
      acknowledged.set(client, sequence);
    }
  } catch {
    // The server is gone; what was under way is of unknown outcome.
  } finally {
    await connection.end().catch(() => undefined);
  }
}

/** Looks until the server is gone: the last of each client that somebody was shown. */
async function lookUntilCut(shown: Sequences): Promise<void> {
  const connection = await cluster.connect();
  try {
    for (;;) {
      const { rows } = await connection.query<{ client: number; last: number }>(
        'select client, max(sequence) as last from entry group by client',
      );
      for (const { client, last } of rows) shown.set(client, last);
    }
  } catch {
    // As above.
  } finally {
    await connection.end().catch(() => undefined);
  }
}

const waitsInSessions = async (): Promise<boolean> =>
  (await cluster.query<{ n: number }>("select count(*)::int n from pg_stat_activity where wait_event = 'SyncRep'")).rows[0]?.n !== 0;

it('a writer killed while sessions wait for a far quorum has lost nothing that was acknowledged, and nothing that anybody was shown', async () => {
  const acknowledged: Sequences = new Map();
  const shown: Sequences = new Map();
  for (let kill = 0; kill < KILLS; kill++) {
    const loads = [...Array.from({ length: CLIENTS }, (_, client) => insertUntilCut(client, acknowledged)), lookUntilCut(shown)];
    await cluster.until('sessions wait by themselves', waitsInSessions, 60_000);
    await delay(200 + 150 * kill);
    if (kill === 1) process.kill((await cluster.writer.status())?.postgres.pid ?? 0, 'SIGKILL');
    else await cluster.writer.kill();
    await Promise.all(loads);
    if (!cluster.writer.running) cluster.writer.start();
    await cluster.writerReady();
    const { rows } = await cluster.query<{ client: number; sequence: number }>('select client, sequence from entry');
    const found = new Set(rows.map(({ client, sequence }) => `${client}/${sequence}`));
    const lost = (what: Sequences): string[] => [...what].map(([client, last]) => `${client}/${last}`).filter((one) => !found.has(one));
    expect([lost(acknowledged), lost(shown)]).toEqual([[], []]);
  }
  // Both had something to lose.
  expect([acknowledged.size, shown.size]).toEqual([CLIENTS, CLIENTS]);
}, 180_000);

it('ends in order while sessions wait, and goes on where it ended', async () => {
  const acknowledged: Sequences = new Map([[0, 1_000_000]]);
  const load = insertUntilCut(0, acknowledged);
  await cluster.until('sessions wait by themselves', waitsInSessions, 60_000);
  await cluster.writer.kill('SIGTERM');
  await load;
  expect(cluster.writer.exitCode).toBe(0);
  cluster.writer.start();
  await cluster.writerReady();
  const { rows } = await cluster.query<{ last: number }>('select max(sequence) as last from entry where client = 0');
  expect(rows[0]?.last).toBeGreaterThanOrEqual(acknowledged.get(0) ?? 0);
}, 120_000);
