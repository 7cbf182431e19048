/**
 * Splits a script into statements at the semicolons that PostgreSQL's lexer would see: not those inside quotes,
 * dollar quotes, comments or brackets (a rule or SQL-standard function body may hold several).
 * Source of the rules: PostgreSQL documentation, "Lexical Structure".
 */
export interface SplitSql {
  readonly statements: readonly string[];
  /** What stands after the last semicolon, unfinished or empty. */
  readonly rest: string;
}

const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;

function endOfQuoted(sql: string, start: number, quote: string, escapes: boolean): number {
  for (let at = start + 1; at < sql.length; at++) {
    if (escapes && sql[at] === '\\') at++;
    else if (sql[at] === quote) {
      if (sql[at + 1] === quote) at++;
      else return at + 1;
    }
  }
  return -1;
}

function endOfBlockComment(sql: string, start: number): number {
  let depth = 0;
  for (let at = start; at < sql.length - 1; at++) {
    if (sql.startsWith('/*', at)) {
      depth++;
      at++;
    } else if (sql.startsWith('*/', at)) {
      at++;
      if (--depth === 0) return at + 1;
    }
  }
  return -1;
}

/**
 * The end of the token that starts at `at` when it may hide a semicolon; `at` itself when it cannot; -1 when it is
 * unfinished.
 */
function skipToken(sql: string, at: number): number {
  const char = sql[at];
  if (char === "'") {
    const prefix = sql[at - 1];
    const escapes = (prefix === 'E' || prefix === 'e') && !/[A-Za-z0-9_$]/.test(sql[at - 2] ?? ' ');
    return endOfQuoted(sql, at, "'", escapes);
  }
  if (char === '"') return endOfQuoted(sql, at, '"', false);
  if (char === '-' && sql[at + 1] === '-') {
    const newline = sql.indexOf('\n', at);
    return newline < 0 ? sql.length : newline + 1;
  }
  if (char === '/' && sql[at + 1] === '*') return endOfBlockComment(sql, at);
  if (char === '$' && !/[A-Za-z0-9_$]/.test(sql[at - 1] ?? ' ')) {
    DOLLAR_TAG.lastIndex = at;
    const tag = DOLLAR_TAG.exec(sql)?.[0];
    if (tag === undefined) return at;
    const close = sql.indexOf(tag, at + tag.length);
    return close < 0 ? -1 : close + tag.length;
  }
  return at;
}

export function splitSql(sql: string): SplitSql {
  const statements: string[] = [];
  let start = 0;
  let depth = 0;
  let at = 0;
  while (at < sql.length) {
    const end = skipToken(sql, at);
    if (end < 0) break;
    if (end > at) {
      at = end;
      continue;
    }
    const char = sql[at];
    if (char === '(') depth++;
    else if (char === ')') depth = Math.max(0, depth - 1);
    else if (char === ';' && depth === 0) {
      const statement = sql.slice(start, at + 1).trim();
      if (statement !== ';') statements.push(statement);
      start = at + 1;
    }
    at++;
  }
  return { statements, rest: sql.slice(start) };
}

/** True when nothing but blanks and comments is left. */
export function isBlank(sql: string): boolean {
  let at = 0;
  while (at < sql.length) {
    const comment = sql.startsWith('--', at) || sql.startsWith('/*', at);
    if (comment) {
      const end = skipToken(sql, at);
      if (end < 0) return false;
      at = end;
    } else if (/\s/.test(sql.charAt(at))) at++;
    else return false;
  }
  return true;
}

export interface EmbeddedMeta {
  /** SQL before it. */
  readonly before: string;
  /** The command, from its backslash to the end of its line. */
  readonly command: string;
  readonly after: string;
}

/** The first backslash command in a script that begins where a statement does; undefined when it has none. */
export function findMeta(sql: string): EmbeddedMeta | undefined {
  for (let at = 0; at < sql.length;) {
    const end = skipToken(sql, at);
    if (end < 0) return undefined;
    if (end > at) {
      at = end;
      continue;
    }
    if (sql[at] === '\\') {
      const newline = sql.indexOf('\n', at);
      const stop = newline < 0 ? sql.length : newline;
      return { before: sql.slice(0, at), command: sql.slice(at, stop), after: sql.slice(stop + 1) };
    }
    at++;
  }
  return undefined;
}
