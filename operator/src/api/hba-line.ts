/**
 * One line of pg_hba.conf, as PostgreSQL 18 would read it: what is wrong with it, if anything. Pure. PostgreSQL has the last word (the
 * agent asks it before a line comes into force); this is so that a manifest is refused where it is written, by the word that is wrong.
 *
 *   type  databases  users  address [mask]  method  [option=value ...]
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';

/** The longest that PostgreSQL takes for one word (MAX_TOKEN is longer; nobody means that). */
const WORD_MAX = 1000;

interface Token {
  readonly text: string;
  /** In quotes a keyword is a name like any other. */
  readonly quoted: boolean;
}

/** Words that stand in one field, with commas between them. */
type Field = readonly Token[];

const TYPES = ['host', 'hostssl', 'hostnossl'] as const;

/** Methods, with their options; true: the method does not work without. */
const METHODS: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  reject: {},
  trust: {},
  'scram-sha-256': {},
  md5: {},
  password: {},
  cert: {},
  radius: { radiusservers: true, radiussecrets: true, radiusports: false, radiusidentifiers: false },
  ident: {},
};

/** Others that PostgreSQL knows, and why not here. */
const NOT_HERE: Readonly<Record<string, string>> = {
  peer: 'is for local connections alone',
  gss: 'is not part of this build of PostgreSQL',
  sspi: 'is for Windows alone',
  pam: 'is not part of this build of PostgreSQL',
  bsd: 'is not part of this build of PostgreSQL',
  ldap: 'is not part of this build of PostgreSQL',
  oauth: 'needs a library that checks tokens, and this image has none',
};

const ADDRESS_WORDS: ReadonlySet<string> = new Set(['all', 'samehost', 'samenet']);
const HOST_NAME = /^\.?[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?$/;

/** What is wrong with the line, and what would be right; undefined: nothing. */
export function hbaLineProblem(line: string): string | undefined {
  if (/[\n\r\0]/.test(line)) return 'holds a line break or a zero byte; write each line as an item of its own';
  if (line.trimEnd().endsWith('\\')) return "ends with '\\', which would join it with the next one; write it as one line";
  const fields = fieldsOf(line);
  if (typeof fields === 'string') return fields;
  if (fields.length === 0) return 'says nothing; remove it';
  return typeProblem(fields) ?? namesProblem(fields) ?? restProblem(fields);
}

/** Splits as PostgreSQL does: at white space, and within a field at commas; a `#` outside of quotes begins a comment. */
function fieldsOf(line: string): readonly Field[] | string {
  const fields: Token[][] = [];
  let at = 0;
  let continues = false;
  while (at < line.length) {
    const char = line.charAt(at);
    if (char === '#') break;
    if (/\s/.test(char)) {
      at++;
      continue;
    }
    // PostgreSQL would begin another field after it.
    if (char === ',') return 'has a comma without a word before it; write a list as one,two';
    const token = tokenAt(line, at);
    if (token === undefined) return `has a quote that is not closed: ${line.slice(at)}`;
    if (token.text.length > WORD_MAX) return `has a word of more than ${WORD_MAX} characters`;
    if (!continues) fields.push([]);
    fields.at(-1)?.push({ text: token.text, quoted: token.quoted });
    at = token.end;
    continues = line.charAt(at) === ',';
    if (continues) at++;
  }
  return fields;
}

/** A word up to white space, a comma or a comment; quotes may stand anywhere in it, and two of them in quotes are one. */
function tokenAt(line: string, start: number): { readonly text: string; readonly quoted: boolean; readonly end: number } | undefined {
  let text = '';
  let inQuotes = false;
  let at = start;
  for (; at < line.length; at++) {
    const char = line.charAt(at);
    if (!inQuotes && (char === ',' || char === '#' || /\s/.test(char))) break;
    if (char !== '"') text += char;
    else if (inQuotes && line.charAt(at + 1) === '"') {
      text += '"';
      at++;
    } else inQuotes = !inQuotes;
  }
  return inQuotes ? undefined : { text, quoted: line.charAt(start) === '"', end: at };
}

function typeProblem([first = []]: readonly Field[]): string | undefined {
  const { text = '' } = first[0] ?? {};
  if (first.length === 1 && TYPES.some((type) => type === text)) return undefined;
  if (text === 'local') return "begins with 'local': clients come by the network alone; use host, hostssl or hostnossl";
  if (text.startsWith('include')) return `begins with '${text}': a pod has no file to include; write its lines here`;
  if (text === 'hostgssenc' || text === 'hostnogssenc')
    return `begins with '${text}', and this build of PostgreSQL has no GSSAPI; use host, hostssl or hostnossl`;
  return `begins with '${text}'; use host, hostssl (with TLS) or hostnossl (without)`;
}

function namesProblem(fields: readonly Field[]): string | undefined {
  for (const [index, what] of [
    [1, 'database'],
    [2, 'user'],
  ] as const) {
    const names = fields[index];
    if (names === undefined) return `ends before the ${what}s; a line is: type database user address method [options]`;
    for (const { text, quoted } of names) {
      if (!quoted && text.startsWith('@')) return `names the file '${text}' for ${what}s: a pod has none; write the names here`;
      if (text === '') return `has an empty name among its ${what}s`;
      // In quotes as well.
      const regexp = text.startsWith('/') ? regexpProblem(text.slice(1)) : undefined;
      if (regexp !== undefined) return `has '${text}' among its ${what}s, which is no regular expression: ${regexp}`;
    }
  }
  return undefined;
}

/** PostgreSQL's expressions are richer than ours: this finds what is broken in both. */
function regexpProblem(expression: string): string | undefined {
  if (expression === '') return 'it is empty';
  let depth = 0;
  for (let at = 0; at < expression.length; at++) {
    const char = expression.charAt(at);
    if (char === '\\') {
      if (++at >= expression.length) return "it ends with '\\'";
    } else if (char === '[') {
      // A bracket that comes first in its list stands for itself.
      const from = expression.charAt(at + 1) === '^' ? at + 3 : at + 2;
      const end = expression.indexOf(']', from);
      if (end === -1) return "it has a '[' that is not closed";
      at = end;
    } else if (char === '(') depth++;
    else if (char === ')' && --depth < 0) return "it has a ')' too many";
  }
  return depth === 0 ? undefined : "it has a '(' that is not closed";
}

function restProblem(fields: readonly Field[]): string | undefined {
  const address = fields[3];
  if (address === undefined) return "ends before the address; use for example 'all', 10.0.0.0/8 or .example.com";
  const [token, ...more] = address;
  if (token === undefined || more.length > 0) return 'has several addresses; write a line for each';
  const read = addressProblem(token, fields[4]);
  if (read.problem !== undefined) return read.problem;
  return methodProblem(fields.slice(read.fields), fields[0]?.[0]?.text ?? '');
}

/** `fields`: how many of the line are over with the address. */
function addressProblem({ text, quoted }: Token, mask: Field | undefined): { readonly fields: number; readonly problem?: string } {
  if (!quoted && ADDRESS_WORDS.has(text)) return { fields: 4 };
  const [ip = '', bits, ...rest] = text.split('/');
  if (isIP(ip) === 0) {
    if (/^[\d.]+$/.test(ip) || ip.includes(':') || bits !== undefined)
      return { fields: 4, problem: `has the address '${text}', which is none; use for example 10.0.0.0/8, ::1/128, all or a host's name` };
    return HOST_NAME.test(text)
      ? { fields: 4 }
      : { fields: 4, problem: `has the address '${text}', which is no host's name; use for example db.example.com or .example.com` };
  }
  if (bits !== undefined) {
    const most = isIPv4(ip) ? 32 : 128;
    const isLength = rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most;
    return isLength ? { fields: 4 } : { fields: 4, problem: `has the address '${text}', whose length is not from 0 to ${most}` };
  }
  const [given] = mask ?? [];
  if (given === undefined || isIP(given.text) === 0)
    return { fields: 4, problem: `has the address '${text}' without its length; write ${text}/${isIPv4(ip) ? 32 : 128} for one machine` };
  return isIPv4(ip) === isIPv4(given.text) && isIPv6(ip) === isIPv6(given.text)
    ? { fields: 5 }
    : { fields: 5, problem: `has an address and a mask of two kinds: '${text}' and '${given.text}'` };
}

function methodProblem([method, ...options]: readonly Field[], type: string): string | undefined {
  const name = method?.[0]?.text;
  if (method === undefined || name === undefined) return 'ends before the method; use for example scram-sha-256, cert or reject';
  if (method.length > 1) return 'has several methods; write one';
  const known = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (known === undefined) {
    const why = Object.hasOwn(NOT_HERE, name) ? NOT_HERE[name] : undefined;
    return `has the method '${name}', which ${why ?? 'there is not'}; use ${Object.keys(METHODS).join(', ')}`;
  }
  if (name === 'cert' && type !== 'hostssl')
    return `has the method 'cert' and begins with '${type}': a certificate comes with TLS; begin it with hostssl`;
  const given = new Set<string>();
  for (const option of options) {
    const text = option.map((token) => token.text).join(',');
    const at = text.indexOf('=');
    const key = at === -1 ? text : text.slice(0, at);
    const value = at === -1 ? '' : text.slice(at + 1);
    if (at === -1) return `has '${text}' after the method; options are written name=value`;
    const problem = optionProblem(key, value, { name, known, type });
    if (problem !== undefined) return problem;
    given.add(key);
  }
  const missing = Object.entries(known).find(([option, isNeeded]) => isNeeded && !given.has(option));
  return missing === undefined ? undefined : `has the method '${name}', which needs the option ${missing[0]}=...`;
}

function optionProblem(
  key: string,
  value: string,
  { name, known, type }: { readonly name: string; readonly known: Readonly<Record<string, boolean>>; readonly type: string },
): string | undefined {
  if (key === 'map') return "has the option 'map', and there is no map of user names; a certificate's common name is the role's name";
  if (key === 'clientcert') {
    if (type !== 'hostssl') return `has the option 'clientcert' and begins with '${type}'; begin it with hostssl`;
    if (name === 'cert' && value !== 'verify-full')
      return "has the method 'cert', which is clientcert=verify-full and nothing less; remove the option";
    return value === 'verify-ca' || value === 'verify-full'
      ? undefined
      : `has clientcert=${value}; use verify-full (its common name is the role's) or verify-ca (any of the authority's)`;
  }
  if (key === 'clientname') {
    if (type !== 'hostssl') return `has the option 'clientname' and begins with '${type}'; begin it with hostssl`;
    return value === 'CN' || value === 'DN' ? undefined : `has clientname=${value}; use CN or DN`;
  }
  if (Object.hasOwn(known, key)) return value === '' ? `has the option '${key}' without a value` : undefined;
  return `has the option '${key}', which the method '${name}' does not know`;
}
