import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster } from './cluster-harness.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ idle: true });
});
afterAll(() => cluster?.destroy());

const LONG_MS = 60_000;
const show = async (name: string): Promise<string | undefined> =>
  (await cluster.query<{ value: string }>('select current_setting($1) as value', [name])).rows[0]?.value;

async function untilRefused(words: string): Promise<void> {
  await cluster.until(
    `it says ${words}`,
    async () => {
      const status = await cluster.writer.status();
      return status?.phase === 'bootstrapping' && status.reason === 'initdbRefused' && status.message.includes(words);
    },
    LONG_MS,
  );
}

test('a volume that cannot be made as it is wanted is told in the words of who refuses, and made when it can be', async () => {
  cluster.setInitdb({ encoding: 'KLINGON' });
  for (const daemon of cluster.daemons) daemon.start();
  cluster.writer.start();
  await untilRefused('"KLINGON" is not a valid server encoding name');
  const epoch = (await cluster.writer.status())?.epoch;
  cluster.setInitdb({ postInitSQL: ['create role auditor', 'creat role typo'] });
  await untilRefused('spec.bootstrap.initdb.postInitSQL, text 2 of all: syntax error at or near "creat"');
  const options = {
    encoding: 'LATIN1',
    localeProvider: 'libc',
    locale: 'C',
    postInitSQL: ['create role auditor', 'create database reports', 'comment on role auditor is $$made first$$'],
    postInitTemplateSQL: ['create table in_every_database (id int)'],
    postInitApplicationSQL: ['create schema shop', 'create table shop.orders (id int)'],
    postInitApplicationSQLRefs: [{ from: 'key grants of ConfigMap shop', file: 'postInitApplicationSQL/0.sql' }],
  };
  cluster.setInitdb(options);
  await untilRefused('spec.bootstrap.initdb.postInitApplicationSQLRefs names key grants of ConfigMap shop, which is not there');
  // What was tried took no epoch.
  expect((await cluster.writer.status())?.epoch).toBe(epoch);
  mkdirSync(join(cluster.settingsDir, 'postInitApplicationSQL'));
  writeFileSync(
    join(cluster.settingsDir, 'postInitApplicationSQL/0.sql'),
    'grant usage on schema shop to app; alter table shop.orders owner to app',
  );
  // Looked for again by itself, sooner when the options are written anew.
  cluster.setInitdb({ ...options, postInitSQL: [...options.postInitSQL, 'select 1'] });
  await cluster.writerReady(90_000);
  const { rows } = await cluster.query<{ encoding: string; provider: string; ctype: string }>(
    `select pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, datctype as ctype from pg_database where datname = 'app'`,
  );
  expect(rows).toEqual([{ encoding: 'LATIN1', provider: 'c', ctype: 'C' }]);
  const made = await cluster.query<{ role: boolean; reports: boolean; template: boolean }>(
    `select exists (select from pg_roles where rolname = 'auditor') as role,
            exists (select from pg_database where datname = 'reports') as reports,
            to_regclass('in_every_database') is not null as template`,
  );
  expect(made.rows).toEqual([{ role: true, reports: true, template: true }]);
  expect((await cluster.query('insert into shop.orders values (1)')).rowCount).toBe(1);
}, 240_000);

test('what initdb chose is kept by the volume; parameters come after it', async () => {
  const chosen = async (): Promise<(string | undefined)[]> => [
    await show('default_text_search_config'),
    await show('TimeZone'),
    await show('log_timezone'),
    await show('lc_monetary'),
    await show('DateStyle'),
  ];
  const before = await chosen();
  expect(before[0]).toBe('pg_catalog.english');
  expect((await cluster.query<{ found: boolean }>(`select to_tsvector('running') @@ to_tsquery('run') as found`)).rows).toEqual([
    { found: true },
  ]);
  await cluster.writer.kill();
  cluster.writer.start();
  await cluster.writerReady(LONG_MS);
  expect(await chosen()).toEqual(before);
  cluster.setParameters({ shared_buffers: '32MB', timezone: 'Europe/Berlin', default_text_search_config: 'pg_catalog.simple' });
  await cluster.until('the parameters are in effect', async () => (await show('TimeZone')) === 'Europe/Berlin', LONG_MS);
  cluster.setParameters({ shared_buffers: '32MB' });
  await cluster.until('the choice is back', async () => JSON.stringify(await chosen()) === JSON.stringify(before), LONG_MS);
}, 120_000);
