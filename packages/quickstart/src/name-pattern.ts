/** A condition on catalog names: `column ~ regex`, each only where the pattern says something. */
export interface NamePattern {
  readonly schema: string | undefined;
  readonly name: string | undefined;
}

/**
 * psql's patterns: `*` is any text, `?` any character, a dot parts schema and name, names fold to lower case unless
 * they stand in double quotes. The results are regular expressions for the whole name.
 * https://www.postgresql.org/docs/18/app-psql.html (Patterns)
 */
export function parsePattern(text: string | undefined): NamePattern {
  if (text === undefined) return { schema: undefined, name: undefined };
  const parts = [''];
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    const last = parts.length - 1;
    if (char === '"') {
      if (quoted && text[at + 1] === '"') {
        parts[last] += '"';
        at++;
      } else quoted = !quoted;
    } else if (quoted) parts[last] += escaped(char);
    else if (char === '.') parts.push('');
    else if (char === '*') parts[last] += '.*';
    else if (char === '?') parts[last] += '.';
    else parts[last] += escaped(char.toLowerCase());
  }
  const [name, schema] = parts.toReversed();
  return { schema: schema === undefined ? undefined : whole(schema), name: name === undefined || name === '.*' ? undefined : whole(name) };
}

const escaped = (char: string): string => (/[\\^$.|?*+()[\]{}]/.test(char) ? `\\${char}` : char);
const whole = (regex: string): string => `^(${regex})$`;

/** An SQL string. */
export function literal(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return text.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}

/**
 * ` AND …` for a query in which `n` is pg_namespace; without a schema only what the search path finds, `visible` says
 * how.
 */
export function patternCondition(pattern: NamePattern, nameColumn: string, visible: string): string {
  const name =
    pattern.name === undefined ? '' : ` AND ${nameColumn} OPERATOR(pg_catalog.~) ${literal(pattern.name)} COLLATE pg_catalog.default`;
  const schema =
    pattern.schema === undefined
      ? ` AND ${visible}`
      : ` AND n.nspname OPERATOR(pg_catalog.~) ${literal(pattern.schema)} COLLATE pg_catalog.default`;
  return name + schema;
}
