import { readFileSync } from 'node:fs';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster } from './cluster-harness.ts';

let cluster: Cluster;
let stock: TestPostgres;
beforeAll(async () => {
  [cluster, stock] = await Promise.all([
    Cluster.start({ pgParameters: { shared_buffers: '128MB' }, readyWithinMs: 120_000 }),
    startPostgres({ settings: { fsync: true } }),
  ]);
}, 150_000);
afterAll(() => Promise.all([cluster?.destroy(), stock?.remove()]));

const QUERY = 'select name, setting from pg_settings order by name';
type Settings = ReadonlyMap<string, string>;

/**
 * Rows of the table in the docs: setting, here, stock, why. `*` stands for a value that is another one at each start.
 */
function documented(): { name: string; here: string; stock: string; why: string }[] {
  const text = readFileSync(new URL('../../docs/reference/postgresql-settings.md', import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => {
    const [name, here, stockValue, why] = line
      .split('|')
      .map((cell) => cell.trim())
      .slice(1);
    const bare = (cell: string | undefined): string => (cell === '(empty)' ? '' : (cell ?? '').replaceAll('`', ''));
    return name?.startsWith('`') === true ? [{ name: bare(name), here: bare(here), stock: bare(stockValue), why: why ?? '' }] : [];
  });
}

test('every setting that differs from a stock server is in the docs with its reason, and nothing else is', async () => {
  const settingsOf = (rows: { name: string; setting: string }[]): Settings => new Map(rows.map(({ name, setting }) => [name, setting]));
  // Over TCP, as the other one: keepalives differ on a local socket.
  const client = new Client({ host: '127.0.0.1', port: stock.port, user: 'postgres', database: 'postgres' });
  await client.connect();
  const there = settingsOf((await client.query<{ name: string; setting: string }>(QUERY)).rows);
  await client.end();
  // As superuser: others do not see all of them.
  const superuser = await cluster.connect(cluster.writer, { user: 'postgres', database: 'postgres' });
  const here = settingsOf((await superuser.query<{ name: string; setting: string }>(QUERY)).rows);
  await superuser.end();
  const differences = [...new Set([...here.keys(), ...there.keys()])]
    .filter((name) => here.get(name) !== there.get(name))
    .map((name) => `${name}: ${here.get(name)} (stock: ${there.get(name)})`);
  const rows = documented();
  const shown = (value: string | undefined, said: string): string | undefined => (said === '*' ? '*' : value);
  const fromDocs = rows.map((row) => {
    const { name } = row;
    return here.get(name) === there.get(name)
      ? `${name}: does not differ`
      : shown(here.get(name), row.here) === row.here && shown(there.get(name), row.stock) === row.stock
        ? differences.find((difference) => difference.startsWith(`${name}: `))
        : `${name}: the docs say ${row.here} (stock: ${row.stock}), it is ${here.get(name)} (stock: ${there.get(name)})`;
  });
  const order = (a = '', b = ''): number => a.localeCompare(b);
  expect(fromDocs.toSorted(order)).toEqual(differences.toSorted(order));
  for (const { name, why } of rows) expect(why, name).not.toBe('');
});
