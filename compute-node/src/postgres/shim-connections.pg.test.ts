import { randomInt } from 'node:crypto';
import { Client, DatabaseError } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';
import { LOCAL_PORT } from './supervise.ts';

const PASSWORD = 'let-me-in';
let volume: FixtureVolume;
let agent: FixtureAgent | undefined;
beforeAll(async () => {
  volume = await fixtureVolume();
});
afterEach(async () => {
  await agent?.stop();
  agent = undefined;
});
afterAll(() => volume?.remove());

/** What the server answers to a replication connection: its error, or undefined when it lets it in. */
async function replicationError(host: string, password: string | undefined, replication: string): Promise<DatabaseError | undefined> {
  const options = { host, port: LOCAL_PORT, user: 'postgres', database: 'postgres', password, replication };
  const client = new Client(options);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return undefined;
  } catch (error) {
    if (error instanceof DatabaseError) return error;
    throw error;
  }
}

test('a connection for physical replication is refused with what to use instead, and only to those who know the password', async () => {
  const host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.1`;
  agent = await new FixtureAgent(volume).start({}, host);
  const superuser = await agent.connect('postgres');
  await superuser.query(`alter role postgres password '${PASSWORD}'`);
  await superuser.end();
  expect(await replicationError(host, PASSWORD, 'database')).toBeUndefined();
  expect(await replicationError(host, PASSWORD, 'true')).toMatchObject({
    severity: 'FATAL',
    code: '0A000',
    message: expect.stringContaining('pg_basebackup, pg_receivewal, standbys) are not available') as string,
    detail: expect.stringContaining('six copies') as string,
    hint: expect.stringContaining('pg_dump') as string,
  });
  for (const replication of ['true', 'database']) {
    expect(await replicationError(host, 'guessed', replication)).toMatchObject({ code: '28P01' });
    expect(await replicationError(agent.socketDir, undefined, replication)).toBeUndefined();
  }
  const ordinary = new Client({ host, port: LOCAL_PORT, user: 'postgres', database: 'app', password: PASSWORD });
  await ordinary.connect();
  expect((await ordinary.query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await ordinary.end();
});
