import type { PostgresRecord } from '@kube-aurora/process';

/**
 * PostgreSQL's log on stderr as records. (Its own JSON needs its logging collector: one more process, which writes files, and holds the pipe by
 * whose end we know that no process of PostgreSQL is left.)
 *
 * Each line that begins something has PREFIX before it, which log_line_prefix sets. Names of roles and databases may hold any byte, line
 * breaks too, and come from whoever connects: they are padded to more than the 63 bytes that a name may have, so that where they end is no
 * question of what is in them. All other fields are PostgreSQL's own, or, as application_name, cleaned by it.
 */
const BEGIN = '\x1e';
const BETWEEN = '\x1f';
const NAME_BYTES = 64;
/** Time, pid, session, line of the session, SQLSTATE, kind of process, client, transaction, query id, application. */
const FIELDS = ['n', 'p', 'c', 'l', 'e', 'b', 'r', 'x', 'Q', 'a'] as const;
export const LOG_LINE_PREFIX = `${BEGIN}${FIELDS.map((field) => `%${field}${BETWEEN}`).join('')}%-${NAME_BYTES}u%-${NAME_BYTES}d`;

/** Longer than all fields of a prefix, an application_name of 63 escaped bytes and a host name of 255 among them. */
const PREFIX_BYTES_MAX = 1024;
/** Of each part of a record; PostgreSQL logs whole statements. */
const PART_CHARACTERS_MAX = 8192;
/** A line that is longer is cut there. */
const LINE_BYTES_MAX = 4 * PART_CHARACTERS_MAX;
/** What one read of a pipe gives at most: more of the same record may follow. */
const READ_BYTES = 65_536;

export interface LogRecord {
  readonly message: string;
  /** Undefined for what is no record of PostgreSQL's: the loader's words, or those of a program that it ran. */
  readonly postgres?: PostgresRecord;
}

const PARTS = {
  DETAIL: 'detail',
  HINT: 'hint',
  CONTEXT: 'context',
  QUERY: 'query',
  LOCATION: 'location',
  STATEMENT: 'statement',
} as const satisfies Readonly<Record<string, keyof PostgresRecord>>;
type Part = (typeof PARTS)[keyof typeof PARTS];

interface Prefix {
  readonly fields: ReadonlyMap<(typeof FIELDS)[number], string>;
  readonly user: string;
  readonly database: string;
  /** How many bytes of the line it is. */
  readonly bytes: number;
}

interface Open {
  readonly prefix: Prefix | undefined;
  readonly severity: string;
  readonly parts: Map<'message' | Part, string>;
  /** Where lines that go on belong. */
  part: 'message' | Part;
}

/** Cuts what PostgreSQL writes into records. A record is whole with the next one's beginning, or where what was read ends with it. */
export class LogRecords {
  readonly #onRecord: (record: LogRecord) => void;
  #rest: Buffer = Buffer.alloc(0);
  /** The rest of a line that was cut. */
  #isSkipping = false;
  #open: Open | undefined;

  constructor(onRecord: (record: LogRecord) => void) {
    this.#onRecord = onRecord;
  }

  push(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#isSkipping) {
        const end = data.indexOf('\n');
        data = end < 0 ? Buffer.alloc(0) : data.subarray(end + 1);
        if (end < 0) break;
        this.#isSkipping = false;
      }
      const prefix = readPrefix(data);
      if (prefix === 'incomplete') break;
      const from = prefix?.bytes ?? 0;
      const end = data.indexOf('\n', from);
      if (end < 0 && data.length - from <= LINE_BYTES_MAX) break;
      this.#line(prefix, data.subarray(from, end < 0 ? from + LINE_BYTES_MAX : end).toString('utf8'));
      this.#isSkipping = end < 0;
      data = data.subarray(end < 0 ? from + LINE_BYTES_MAX : end + 1);
    }
    // A copy: the chunk's memory is the stream's.
    this.#rest = Buffer.from(data);
    if (this.#rest.length === 0 && !this.#isSkipping && chunk.length < READ_BYTES) this.#close();
  }

  /** Nothing more comes. */
  end(): void {
    if (this.#rest.length > 0) this.#line(undefined, this.#rest.toString('utf8').replace(BEGIN, ''));
    this.#rest = Buffer.alloc(0);
    this.#close();
  }

  #line(prefix: Prefix | undefined, text: string): void {
    if (prefix === undefined && text.startsWith('\t') && this.#open !== undefined) {
      this.#add(this.#open, this.#open.part, `\n${text.slice(1)}`);
      return;
    }
    const [, label = '', words = text] = (prefix === undefined ? undefined : /^([^\n:]{1,40}): {2}([^]*)$/.exec(text)) ?? [];
    const part = Object.hasOwn(PARTS, label) ? PARTS[label as keyof typeof PARTS] : undefined;
    const open = this.#open;
    if (part !== undefined && open?.prefix !== undefined && open.prefix.fields.get('p') === prefix?.fields.get('p')) {
      open.part = part;
      this.#add(open, part, words);
      return;
    }
    this.#close();
    const next: Open = { prefix, severity: label, parts: new Map(), part: 'message' };
    this.#add(next, 'message', words);
    this.#open = next;
  }

  #add({ parts }: Open, part: 'message' | Part, text: string): void {
    parts.set(part, `${parts.get(part) ?? ''}${text}`.slice(0, PART_CHARACTERS_MAX));
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    const { prefix, severity, parts } = open;
    const message = parts.get('message') ?? '';
    if (prefix !== undefined) this.#onRecord(toRecord(prefix, severity, message, parts));
    else if (message.trim() !== '') this.#onRecord({ message });
  }
}

/** Undefined where the line begins otherwise. */
function readPrefix(data: Buffer): Prefix | 'incomplete' | undefined {
  if (data.length === 0) return 'incomplete';
  if (data[0] !== BEGIN.charCodeAt(0)) return undefined;
  const fields = new Map<(typeof FIELDS)[number], string>();
  let at = 1;
  for (const field of FIELDS) {
    const end = data.indexOf(BETWEEN, at);
    if (end < 0 || end > PREFIX_BYTES_MAX) return data.length > PREFIX_BYTES_MAX ? undefined : 'incomplete';
    fields.set(field, data.subarray(at, end).toString('utf8'));
    at = end + 1;
  }
  const bytes = at + 2 * NAME_BYTES;
  if (data.length < bytes) return 'incomplete';
  const name = (from: number): string =>
    data
      .subarray(from, from + NAME_BYTES)
      .toString('utf8')
      .trimEnd();
  return { fields, user: name(at), database: name(at + NAME_BYTES), bytes };
}

/** A command that sets a password, which a syntax error in it may be about. */
const SETS_PASSWORD = /\bpassword\b/i;
const SYNTAX_ERROR = '42601';

function toRecord(
  { fields, user, database }: Prefix,
  severity: string,
  message: string,
  parts: ReadonlyMap<'message' | Part, string>,
): LogRecord {
  const given = (name: string, value: string | undefined, none: readonly string[] = []): Readonly<Record<string, string>> =>
    value === undefined || value === '' || none.includes(value) ? {} : { [name]: value };
  const sqlState = fields.get('e') ?? '';
  const told = message.startsWith(`${sqlState}: `) ? message.slice(sqlState.length + 2) : message;
  const isAboutPassword = sqlState === SYNTAX_ERROR && SETS_PASSWORD.test(parts.get('statement') ?? '');
  return {
    message: isAboutPassword ? told.replace(/"[^]*"/, '"***"') : told,
    postgres: {
      at: new Date(Number(fields.get('n')) * 1000).toISOString(),
      severity,
      sqlState,
      ...given('user', user, ['[unknown]']),
      ...given('database', database, ['[unknown]']),
      ...given('application', fields.get('a'), ['[unknown]']),
      ...given('client', fields.get('r')),
      pid: Number(fields.get('p')),
      session: fields.get('c') ?? '',
      sessionLine: Number(fields.get('l')),
      backend: fields.get('b') ?? '',
      ...given('transaction', fields.get('x'), ['0']),
      ...given('queryId', fields.get('Q'), ['0']),
      ...Object.fromEntries([...parts].filter(([part]) => part !== 'message')),
    },
  };
}
