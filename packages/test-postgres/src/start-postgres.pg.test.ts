import { access } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from './index.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startPostgres({ settings: { work_mem: '5MB' } });
});
afterAll(() => postgres.remove());

test('serves PostgreSQL 18 with the settings asked for, survives a crash, and leaves nothing behind', async () => {
  const client = await postgres.connect();
  const { rows } = await client.query("select current_setting('server_version') as version, current_setting('work_mem') as work_mem");
  expect(rows[0].version).toMatch(/^18\./);
  expect(rows[0].work_mem).toBe('5MB');
  await client.query('create table kept (id int); insert into kept values (7)');
  await client.end();

  await postgres.stop('immediate');
  await postgres.restart();
  const again = await postgres.connect();
  expect((await again.query('select id from kept')).rows).toEqual([{ id: 7 }]);
  await again.end();

  await postgres.remove();
  await expect(access(postgres.dataDir)).rejects.toThrow(/ENOENT/);
});

test('says why a server did not start', async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'nonsense' } })).rejects.toThrow(/invalid value for parameter "shared_buffers"/);
});
