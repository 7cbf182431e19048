import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.query('create table commits (id int primary key, note text)');
}, 90_000);
afterAll(() => cluster?.destroy(), 30_000);

const insert = (id: number, note: string): Promise<unknown> => cluster.query('insert into commits values ($1, $2)', [id, note]);
const ids = async (): Promise<number[]> =>
  (await cluster.query<{ id: number }>('select id from commits order by id')).rows.map((row) => row.id);

describe('a writer on six storage daemons', () => {
  it('opens again after kill -9 of the agent, with every commit, without replay', async () => {
    await insert(1, 'before the kill');
    await cluster.writer.kill();
    cluster.writer.start();
    await cluster.writerReady();
    await insert(2, 'after the kill');
    expect(await ids()).toEqual([1, 2]);
    expect(cluster.writer.logTail(2000)).not.toMatch(/redo starts at|automatic recovery in progress/);
  }, 30_000);

  it('opens again after kill -9 of PostgreSQL in the middle of a transaction', async () => {
    const client = await cluster.connect();
    await client.query('begin');
    await client.query("insert into commits values (666, 'never committed')");
    const pid = (await cluster.writer.status())?.postgres.pid;
    if (pid === undefined) throw new Error('no PostgreSQL');
    process.kill(pid, 'SIGKILL');
    await client.end().catch(() => undefined);
    await cluster.until('the old PostgreSQL is gone', async () => (await cluster.writer.status())?.postgres.pid !== pid);
    await cluster.writerReady();
    await insert(3, 'after');
    expect(await ids()).toEqual([1, 2, 3]);
  }, 30_000);

  it('goes on with a whole zone killed, and feeds it when it is back', async () => {
    const zone = cluster.zone('zone-b');
    await Promise.all(zone.map((daemon) => daemon.kill()));
    await insert(4, 'zone-b is down');
    for (const daemon of zone) daemon.start();
    await cluster.until('all six stream and are level', async () => {
      const status = await cluster.writer.status();
      return status?.segments.every((segment) => segment.state === 'streaming' && segment.behindBytes === 0) ?? false;
    });
    expect(await ids()).toEqual([1, 2, 3, 4]);
  }, 30_000);

  it('acknowledges nothing with three daemons paused, and goes on when one is back', async () => {
    const paused = cluster.daemons.slice(0, 3);
    for (const daemon of paused) daemon.pause();
    let acknowledged = false;
    const commit = insert(5, 'three are down').then(() => (acknowledged = true));
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(acknowledged).toBe(false);
    paused[0]?.resume();
    await commit;
    for (const daemon of paused) daemon.resume();
    expect(await ids()).toEqual([1, 2, 3, 4, 5]);
  }, 30_000);

  it('loses nothing when everything is killed at once', async () => {
    await insert(6, 'before the power cut');
    await Promise.all([...cluster.daemons, cluster.writer].map((process) => process.kill()));
    cluster.writer.killPostgres();
    for (const process of [...cluster.daemons, cluster.writer]) process.start();
    await cluster.writerReady();
    expect(await ids()).toEqual([1, 2, 3, 4, 5, 6]);
  }, 60_000);

  it('is fenced by a second writer: its commits fail and are never found', async () => {
    const old = await cluster.connect();
    await old.query('select 1');
    const second = cluster.addWriter('zone-c');
    second.start();
    await cluster.writerReady(30_000, second);
    await expect(old.query("insert into commits values (777, 'of the fenced writer')")).rejects.toThrow();
    await cluster.until('the first is fenced', async () => (await cluster.writer.status())?.phase === 'fenced');
    const found = await cluster.query<{ id: number }>('select id from commits order by id', [], second);
    expect(found.rows.map((row) => row.id)).toEqual([1, 2, 3, 4, 5, 6]);
    await second.kill('SIGTERM');
    expect(second.logTail(2000)).toMatch(/database system is shut down/);
  }, 60_000);
});
