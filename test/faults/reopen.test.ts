import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.query('create table entry (id bigserial primary key, client int, sequence int, filler text)');
}, 90_000);
afterAll(() => cluster?.destroy());

/** Inserts until the server is gone; gives the numbers that were acknowledged. */
async function insertUntilCut(client: number): Promise<number[]> {
  const connection = await cluster.connect();
  const acknowledged: number[] = [];
  try {
    for (let sequence = 1; ; sequence++) {
      await connection.query("insert into entry (client, sequence, filler) values ($1, $2, repeat('f', 200))", [client, sequence]);
      acknowledged.push(sequence);
    }
  } catch {
    return acknowledged;
  } finally {
    await connection.end().catch(() => undefined);
  }
}

describe('a writer killed -9 under load', () => {
  it('opens again without replay by PostgreSQL, with every acknowledged commit', async () => {
    const loads = Array.from({ length: 6 }, (_unused, client) => insertUntilCut(client));
    await cluster.until(
      'there is load',
      async () => Number((await cluster.query<{ n: string }>('select count(*) n from entry')).rows[0]?.n) > 300,
      20_000,
    );
    const logBefore = readFileSync(cluster.writer.logFile, 'utf8').length;
    await cluster.writer.kill();
    cluster.writer.start();
    const steps = new Set<string>();
    await cluster.until('the writer runs, having said how far it was', async () => {
      const status = await cluster.writer.status();
      if (status?.opening !== undefined) steps.add(`${status.opening.number} of ${status.opening.steps}`);
      if (status?.phase === 'running') expect(status.opening).toBeUndefined();
      return status?.phase === 'running';
    });
    expect(steps.size).toBeGreaterThan(0);
    await cluster.writerReady();
    const acknowledged = await Promise.all(loads);
    const log = readFileSync(cluster.writer.logFile, 'utf8').slice(logBefore);
    expect(log).toMatch(/database system was shut down at/);
    expect(log).not.toMatch(/redo starts at|automatic recovery in progress|was not properly shut down|was interrupted/);
    const { rows } = await cluster.query<{ client: number; sequence: number }>('select client, sequence from entry');
    const found = new Set(rows.map((row) => `${row.client}/${row.sequence}`));
    const lost = acknowledged.flatMap((sequences, client) => sequences.filter((sequence) => !found.has(`${client}/${sequence}`)));
    expect(lost).toEqual([]);
    expect(acknowledged.flat().length).toBeGreaterThan(300);
  });
});
