import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from 'pg';
import { Cluster } from '../e2e/cluster-harness.ts';

/** A look that was not answered for so long is one that the lease holds. */
const SILENT_MS = 1000;

let cluster: Cluster;
let observer: Client;

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.query('create table note (id int primary key)');
}, 90_000);
afterAll(async () => {
  await observer?.end().catch(() => undefined);
  await cluster?.destroy();
});

async function shown(): Promise<number[]> {
  const { rows } = await observer.query<{ id: number }>('select id from note order by id');
  return rows.map((row) => row.id);
}

async function backendPid(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() pid');
  if (rows[0] === undefined) throw new Error('no pid');
  return rows[0].pid;
}

interface Attempt {
  readonly id: number;
  readonly client: Client;
  readonly pid: number;
}

/** How a client gives its commit up. */
const WAYS: readonly ((attempt: Attempt) => Promise<unknown>)[] = [
  ({ pid }) => observer.query('select pg_cancel_backend($1)', [pid]),
  ({ pid }) => observer.query('select pg_terminate_backend($1)', [pid]),
  // What end() would say politely never arrives: the socket is closed under the server.
  ({ client }) => Promise.resolve(client.connection.stream.destroy()),
];

describe('a commit that waits for a quorum and whose client gives up', () => {
  it('shows no row before it is durable, and keeps every row that it has shown', async () => {
    observer = await cluster.connect();
    const attempts: Attempt[] = [];
    for (const [id] of WAYS.entries()) {
      const client = await cluster.connect();
      attempts.push({ id: id + 1, client, pid: await backendPid(client) });
    }
    expect(await shown()).toEqual([]);

    const paused = cluster.daemons.slice(2, 5);
    for (const daemon of paused) daemon.pause();
    const acknowledged: number[] = [];
    const ends = attempts.map(async ({ id, client }) => {
      await client.query('insert into note values ($1)', [id]).then(
        () => acknowledged.push(id),
        () => undefined,
      );
    });
    await delay(400);
    for (const [index, attempt] of attempts.entries()) await WAYS[index]?.(attempt);
    // Without a quorum the writer's lease runs out, and from then on no look is answered until there is one again.
    let look: Promise<number[]> | undefined;
    let isAnswered = true;
    for (const end = performance.now() + 2000; isAnswered && performance.now() < end; await delay(100)) {
      look = shown();
      const rows = await Promise.race([look, delay(SILENT_MS)]);
      isAnswered = rows !== undefined;
      if (isAnswered) expect(rows).toEqual([]);
      expect(acknowledged).toEqual([]);
    }

    for (const daemon of paused) daemon.resume();
    await Promise.all(ends);
    await look;
    await cluster.query('insert into note values (100)');
    const after = await shown();
    expect(after).toContain(100);
    for (const id of acknowledged) expect(after).toContain(id);
    await observer.end();

    await cluster.writer.kill();
    cluster.writer.start();
    await cluster.writerReady();
    observer = await cluster.connect();
    const reopened = await shown();
    for (const id of after) expect(reopened).toContain(id);
    await Promise.all(attempts.map(({ client }) => client.end().catch(() => undefined)));
  });

  it('shows no row of a writer that was killed in that wait, unless it stays', async () => {
    const paused = cluster.daemons.slice(0, 3);
    for (const daemon of paused) daemon.pause();
    const waiting = cluster.query('insert into note values (200)').then(
      () => true,
      () => false,
    );
    await delay(500);
    // A look that the lease holds shows nothing.
    const rows = await Promise.race([shown().catch(() => undefined), delay(SILENT_MS)]);
    expect(rows ?? []).not.toContain(200);
    await observer.end().catch(() => undefined);
    await cluster.writer.kill();
    cluster.writer.killPostgres();
    expect(await waiting).toBe(false);
    for (const daemon of paused) daemon.resume();
    // Whichever way the open decides about it, it decides once.
    const seen: boolean[] = [];
    for (let opens = 0; opens < 2; opens++) {
      await cluster.writer.kill();
      cluster.writer.start();
      await cluster.writerReady();
      observer = await cluster.connect();
      seen.push((await shown()).includes(200));
      await observer.end();
    }
    expect(seen[1]).toBe(seen[0]);
  });
});
