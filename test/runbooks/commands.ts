/** What a runbook tells one to type: its blocks, and what stands within its sentences. */
export interface RunbookCommand {
  readonly page: string;
  /** The alert's, or the page's title. */
  readonly section: string;
  readonly line: number;
  /** `console`: lines for a shell. `sql`: for the psql that the page named last. `promql`: one expression. */
  readonly kind: 'console' | 'sql' | 'promql';
  readonly text: string;
  /** Of `sql`: the line for a shell that leads to where it is meant. Undefined: the page does not say. */
  readonly psql: string | undefined;
}

const FENCE = /^```(\w*)$/;
const PROMPT = '$ ';
const PSQL = /kubectl aurora psql[^`\n]*/g;
/** Code within a sentence that is to be typed, and is no mere name. */
const TYPED = /`((?:kubectl|select|vacuum|rollback prepared) [^`]+)`/g;

const kinds: Readonly<Record<string, RunbookCommand['kind']>> = { console: 'console', sql: 'sql', promql: 'promql' };

/** Every command of a page of docs/runbooks. Pure. Throws where it cannot be said what a block is. */
export function commandsOf(page: string, markdown: string): RunbookCommand[] {
  const commands: RunbookCommand[] = [];
  let section = page;
  let psql: string | undefined;
  let block: { readonly kind: RunbookCommand['kind']; readonly line: number; readonly lines: string[] } | undefined;
  const add = (kind: RunbookCommand['kind'], line: number, text: string): void =>
    void commands.push({ page, section, line, kind, text, psql: kind === 'sql' ? psql : undefined });
  for (const [index, line] of markdown.split('\n').entries()) {
    const fence = FENCE.exec(line);
    if (block !== undefined) {
      if (fence === null) block.lines.push(line);
      else {
        if (block.kind === 'console') for (const typed of typedLines(page, block)) add('console', block.line, typed);
        else add(block.kind, block.line, block.lines.join('\n').trim());
        block = undefined;
      }
    } else if (fence !== null) {
      const kind = kinds[fence[1] ?? ''];
      if (kind === undefined)
        throw new Error(`${page}:${index + 1}: a block of a runbook is console, sql or promql, not '${fence[1] ?? ''}'`);
      block = { kind, line: index + 1, lines: [] };
    } else if (/^##? /.test(line)) section = line.replace(/^#+ /, '');
    else
      for (const [, typed = ''] of line.matchAll(TYPED))
        // Where psql is named, what follows is typed there.
        if (!typed.startsWith('kubectl aurora psql')) add(typed.startsWith('kubectl') ? 'console' : 'sql', index + 1, typed);
    psql = [...line.matchAll(PSQL)].at(-1)?.[0].trim() ?? psql;
  }
  if (block !== undefined) throw new Error(`${page}:${block.line}: the block does not end`);
  return commands;
}

function typedLines(page: string, { line, lines }: { readonly line: number; readonly lines: readonly string[] }): string[] {
  return lines.map((text, index) => {
    if (!text.startsWith(PROMPT))
      throw new Error(`${page}:${line + 1 + index}: a line of a console block begins with '${PROMPT}': ${text}`);
    return text.slice(PROMPT.length);
  });
}

/** What stands for something of the reader's own. */
const PLACEHOLDER = /\b(?:NS|NAME|POD|PID|GID|SLOT|TABLE)\b/g;

/** With the reader's own names in the place of those in capitals. Throws where one has no name. */
export function filledIn(text: string, names: Readonly<Record<string, string>>): string {
  return text.replaceAll(PLACEHOLDER, (word) => {
    const name = names[word];
    if (name === undefined) throw new Error(`nothing is known that stands for ${word} in: ${text}`);
    return name;
  });
}
