/** `\copy`, read: what the server is told, and which file of this machine it is about. */
export type CopyCommand =
  | { readonly kind: 'copy'; readonly direction: 'from' | 'to'; readonly sql: string; readonly file: string | undefined }
  | { readonly kind: 'invalid'; readonly message: string };

/** One word: a quoted text, a bracketed list or query with everything in it, or what stands up to a blank. */
const WORD = /\s*('(?:[^']|'')*'|"(?:[^"]|"")*"(?:\."(?:[^"]|"")*"|\.[^\s(]+)?|[^\s('"]+)/y;

/**
 * Reads what follows `\copy`: `TABLE [(columns)]` or `(query)`, FROM or TO, `'file'`, stdin or stdout, options. The
 * options are the server's own (`with (format csv, header)`, `csv header`).
 */
export function parseCopy(text: string): CopyCommand {
  const brackets = (at: number): number => {
    let depth = 0;
    let quote = '';
    for (let i = at; i < text.length; i++) {
      const char = text.charAt(i);
      if (quote !== '') quote = char === quote ? '' : quote;
      else if (char === "'" || char === '"') quote = char;
      else if (char === '(') depth++;
      else if (char === ')' && --depth === 0) return i + 1;
    }
    return -1;
  };
  let at = 0;
  const take = (): string | undefined => {
    while (/\s/.test(text.charAt(at))) at++;
    if (text[at] === '(') {
      const end = brackets(at);
      if (end < 0) return undefined;
      const taken = text.slice(at, end);
      at = end;
      return taken;
    }
    WORD.lastIndex = at;
    const word = WORD.exec(text)?.[1];
    if (word !== undefined) at = WORD.lastIndex;
    return word;
  };
  let subject = take();
  if (subject === undefined) return { kind: 'invalid', message: '\\copy: arguments required' };
  let direction = take();
  if (direction?.startsWith('(') === true) {
    subject += ` ${direction}`;
    direction = take();
  }
  const lower = direction?.toLowerCase();
  if (lower !== 'from' && lower !== 'to')
    return { kind: 'invalid', message: `\\copy: FROM or TO is expected, not "${direction ?? 'nothing'}"` };
  const place = take();
  if (place === undefined) return { kind: 'invalid', message: "\\copy: the name of a file is expected, 'in quotes', or stdin or stdout" };
  if (place.toLowerCase() === 'program')
    return { kind: 'invalid', message: '\\copy: programs are not supported here; use a file or a pipe' };
  const options = text.slice(at).trim();
  const standard = /^p?std(in|out)$/i.test(place);
  const file = place.startsWith("'") ? place.slice(1, -1).replaceAll("''", "'") : place;
  return {
    kind: 'copy',
    direction: lower,
    sql: `COPY ${subject} ${lower === 'from' ? 'FROM STDIN' : 'TO STDOUT'}${options === '' ? '' : ` ${options}`}`,
    file: standard ? undefined : file,
  };
}
