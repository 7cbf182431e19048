import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogRecords, type LogRecord } from './log-records.ts';

interface Given {
  readonly user?: string;
  readonly database?: string;
  readonly application?: string;
  readonly pid?: number;
  readonly sqlState?: string;
}

/** As PostgreSQL writes it before each line that begins something: printf's padding counts bytes. */
function prefix({ user = '', database = '', application = '', pid = 7, sqlState = '00000' }: Given = {}): string {
  const padded = (name: string): string => name + ' '.repeat(Math.max(0, 64 - Buffer.byteLength(name)));
  const fields = ['1795796324.123', pid, '6a1.7', 3, sqlState, 'client backend', '10.0.0.9(5000)', 0, 0, application];
  return `\x1e${fields.map((field) => `${field}\x1f`).join('')}${padded(user)}${padded(database)}`;
}

/** Reads it in pieces of so many bytes; all at once where nothing is said. */
function read(text: string, piece = Infinity): LogRecord[] {
  const records: LogRecord[] = [];
  const log = new LogRecords((record) => records.push(record));
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += piece) log.push(bytes.subarray(at, Math.min(bytes.length, at + piece)));
  log.end();
  return records;
}

const APP = { user: 'app', database: 'shop', application: 'psql' } as const;

test('a record with all that belongs to it', () => {
  const own = { ...APP, sqlState: '42P01' };
  const text =
    `${prefix(own)}ERROR:  relation "t" does not exist at character 15\n` +
    `${prefix(own)}HINT:  none\n${prefix(own)}STATEMENT:  select *\n\t\tfrom t\n` +
    `${prefix({ pid: 9 })}LOG:  checkpoint starting: time\n`;
  expect(read(text)).toEqual([
    {
      message: 'relation "t" does not exist at character 15',
      postgres: {
        at: '2026-11-27T16:18:44.123Z',
        severity: 'ERROR',
        sqlState: '42P01',
        user: 'app',
        database: 'shop',
        application: 'psql',
        client: '10.0.0.9(5000)',
        pid: 7,
        session: '6a1.7',
        sessionLine: 3,
        backend: 'client backend',
        hint: 'none',
        statement: 'select *\n\tfrom t',
      },
    },
    expect.objectContaining({ message: 'checkpoint starting: time' }) as LogRecord,
  ]);
});

test('what is no record of PostgreSQL’s is a line', () => {
  const text = `ERROR: ld.so: object cannot be preloaded: ignored.\n${prefix()}LOG:  up\nsh: 1: no such program\n`;
  expect(read(text).map(({ message, postgres }) => [message, postgres?.severity])).toEqual([
    ['ERROR: ld.so: object cannot be preloaded: ignored.', undefined],
    ['up', 'LOG'],
    ['sh: 1: no such program', undefined],
  ]);
});

test('a detail of another process is no part of this one’s record', () => {
  const records = read(`${prefix({ pid: 1 })}LOG:  one\n${prefix({ pid: 2 })}DETAIL:  of another\n`);
  expect(records.map(({ message, postgres }) => [message, postgres?.severity])).toEqual([
    ['one', 'LOG'],
    ['of another', 'DETAIL'],
  ]);
});

test('with log_error_verbosity = verbose the code stands once', () => {
  const own = { sqlState: '42601' };
  const [record] = read(`${prefix(own)}ERROR:  42601: syntax error\n${prefix(own)}LOCATION:  scanner_yyerror, scan.l:1244\n`);
  expect(record?.message).toBe('syntax error');
  expect(record?.postgres?.location).toBe('scanner_yyerror, scan.l:1244');
});

test('a password that PostgreSQL could not read is not in what it says of that', () => {
  const own = { sqlState: '42601' };
  const [record] = read(
    `${prefix(own)}ERROR:  syntax error at or near "hunter2" at character 25\n${prefix(own)}STATEMENT:  alter role app password hunter2\n`,
  );
  expect(record?.message).toBe('syntax error at or near "***" at character 25');
});

test('lines of any length take bounded memory, and the next one is read again', () => {
  const [long, next] = read(`${prefix()}LOG:  ${'x'.repeat(5_000_000)}\n${prefix()}LOG:  next\n`, 60_000);
  expect(long?.message).toHaveLength(8192);
  expect(next?.message).toBe('next');
});

describe('names are whatever bytes a client sends', () => {
  const name = fc.string({ unit: 'binary', maxLength: 63 }).filter((one) => !one.includes('\0') && Buffer.byteLength(one) <= 63);
  const words = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 200 }).map((one) => one.replaceAll('\n', '\n\t'));
  test('each record has its own, and there are no others, in pieces of whatever size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ user: name, database: name, words }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 400 }),
        (given, piece) => {
          const text = given.map((one) => `${prefix(one)}LOG:  ${one.words}\n`).join('');
          const records = read(text, piece);
          expect(records.map(({ message }) => message)).toEqual(given.map((one) => one.words.replaceAll('\n\t', '\n')));
          const trimmed = (one: string): string | undefined => (one.trimEnd() === '' ? undefined : one.trimEnd());
          expect(records.map(({ postgres }) => [postgres?.user, postgres?.database])).toEqual(
            given.map(({ user, database }) => [trimmed(user), trimmed(database)]),
          );
        },
      ),
    );
  });
});
