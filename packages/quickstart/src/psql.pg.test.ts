import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runScript } from './psql-interpreter.ts';
import { PsqlSession } from './psql-session.ts';

let postgres: TestPostgres;
let session: PsqlSession;
let printed = '';
let files: string;

/** What is printed, in order, as a terminal would show it. */
async function type(script: string): Promise<string> {
  printed = '';
  await runScript(session, script);
  return printed;
}

async function connect(user: string, database: string): Promise<PsqlSession> {
  const stream = new PassThrough().on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const connection = { host: '127.0.0.1', port: postgres.port, user, password: '', database, ssl: undefined };
  const made = new PsqlSession(connection, { tuplesOnly: false, unaligned: false, expanded: false }, { out: stream, errors: stream });
  await made.connect();
  return made;
}

beforeAll(async () => {
  files = mkdtempSync(path.join(tmpdir(), 'ka-psql-'));
  postgres = await startPostgres();
  const superuser = await connect('postgres', 'postgres');
  await runScript(superuser, 'create role app login superuser; create database app owner app;');
  await superuser.close();
  session = await connect('app', 'app');
  expect(await type(readFileSync(new URL('./psql-recorded.sql', import.meta.url), 'utf8'))).not.toContain('ERROR');
});
afterAll(async () => {
  await session?.close();
  await postgres?.stop();
  rmSync(files, { recursive: true, force: true });
});

/**
 * psql 15's own words on the same database (psql -X -q): `>>> ` begins each line that was typed, `<<<` ends what was
 * printed.
 */
const recorded = readFileSync(new URL('./psql-recorded.txt', import.meta.url), 'utf8')
  .split(/^<<<\n/m)
  .filter((entry) => entry !== '')
  .map((entry) => {
    const lines = entry.split('\n');
    const typed = lines.filter((line) => line.startsWith('>>> '));
    return { typed: typed.map((line) => line.slice(4)).join('\n'), output: lines.slice(typed.length).join('\n') };
  });

describe('prints what psql prints', () => {
  test.each(recorded)('$typed', async ({ typed, output }) => {
    const own = await type(`${typed}\n`);
    session.style = { tuplesOnly: false, unaligned: false, expanded: false };
    // psql -q leaves out what switches say.
    expect(own.replace(/^(Expanded display|Tuples only|Output format) is \w+\.\n/, '')).toBe(output);
  });
});

describe('\\copy', () => {
  test('out of the server and in again, with options, also from what stands in the script', async () => {
    const file = path.join(files, "it's.csv");
    const name = file.replaceAll("'", "''");
    expect(await type(`\\copy (select id, owner from account order by id) to '${name}' with (format csv, header)\n`)).toBe('COPY 2\n');
    expect(readFileSync(file, 'utf8')).toBe('id,owner\n1,ada\n2,bob\n');
    await type('create table copied (id int, owner text)');
    expect(await type(`\\copy copied(id, owner) from '${name}' csv header\n`)).toBe('COPY 2\n');
    expect(await type('\\copy copied from stdin\n3\tcyd\n4\t\\N\n\\.\nselect count(*), count(owner) from copied;\n')).toBe(
      'COPY 2\n count | count \n-------+-------\n     4 |     3\n(1 row)\n\n',
    );
    expect(await type('\\copy (select 1, $$x$$) to stdout\n')).toBe('1\tx\n');
  });

  test('says what is wrong, and the session goes on', async () => {
    expect(await type("\\copy account from '/nope'\n")).toMatch(/ENOENT.*\/nope/);
    writeFileSync(path.join(files, 'bad.csv'), 'x,y\n');
    expect(await type(`\\copy copied from '${path.join(files, 'bad.csv')}' csv\n`)).toMatch(
      /ERROR: {2}invalid input syntax for type integer: "x"/,
    );
    expect(await type('\\copy account\n')).toBe('\\copy: FROM or TO is expected, not "nothing"\n');
    expect(await type("\\copy account from program 'ls'\n")).toMatch(/programs are not supported/);
    expect(await type('select 1 as still;')).toContain('still');
  });
});

test('\\watch repeats what stands before it, or what ran last', async () => {
  const once = / \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \(every 0.01s\)\n\n n \n---\n 1\n\(1 row\)\n\n/.source.slice(1);
  expect(await type('select 1 as n \\watch i=0.01 c=2\n')).toMatch(new RegExp(`^(${once}){2}$`));
  expect(await type('select 1 as n;\n\\watch i=0.01 c=1\n')).toMatch(new RegExp(`\\n${once}$`));
  expect(await type('\\watch soon\n')).toBe('\\watch: incorrect interval value "soon"\n');
});

test('switches tell how they stand, and \\timing times what runs', async () => {
  expect(await type('\\timing on\nselect 1;\n\\timing off\n')).toMatch(/^Timing is on\.\n[^]*\nTime: \d+\.\d{3} ms\nTiming is off\.\n$/);
  expect(await type('\\timing maybe\n')).toBe('unrecognized value "maybe" for "\\timing": Boolean expected\n');
  expect(await type('select 1 as a \\gx\nselect 1 as a;')).toBe('-[ RECORD 1 ]\na | 1\n\n a \n---\n 1\n(1 row)\n\n');
});

test('a relation that is not there', async () => {
  expect(await type('\\d nothing\n')).toBe('Did not find any relation named "nothing".\n');
  expect(await type('\\dt nothing*\n')).toBe('Did not find any relation named "nothing*".\n');
  expect(await type(`\\d "it's"\n`)).toContain('Did not find any relation');
});
