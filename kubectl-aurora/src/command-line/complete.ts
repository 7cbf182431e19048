import { COMMANDS, findCommand, GLOBAL_FLAGS, type Argument, type Command, type Flag } from './command-table.ts';
import { SHELLS } from './completion-scripts.ts';

/** What may stand where the cursor is: words that are known, or names that the API server has. */
export type Completion =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'names'; readonly of: Exclude<Argument, 'shell'> | 'namespace' | 'segment'; readonly cluster: string | undefined };

const NONE: Completion = { kind: 'words', words: [] };

/** Pure: looks at the words so far; the last one is what is being typed. Suggestions have a description after a tab. */
export function completionAt(words: readonly string[]): Completion {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  if (before.includes('--')) return NONE;
  const { command, positionals, awaits } = walk(before);
  if (awaits !== undefined) return valueOf(awaits, positionals[0]);
  if (typed.startsWith('-'))
    return {
      kind: 'words',
      words: [...(command?.flags ?? []), ...GLOBAL_FLAGS]
        .map(({ long, help }) => `--${long}\t${help}`)
        .filter((word) => word.startsWith(typed)),
    };
  if (command === undefined)
    return { kind: 'words', words: COMMANDS.map(({ name, summary }) => `${name}\t${summary}`).filter((word) => word.startsWith(typed)) };
  if (command.name === 'help')
    return positionals.length === 0
      ? { kind: 'words', words: COMMANDS.map(({ name }) => name).filter((name) => name.startsWith(typed)) }
      : NONE;
  const argument = command.arguments[positionals.length];
  if (argument === undefined) return NONE;
  if (argument === 'shell') return { kind: 'words', words: SHELLS.filter((shell) => shell.startsWith(typed)) };
  return { kind: 'names', of: argument, cluster: positionals[0] };
}

/** The command and its arguments so far, and the flag whose value comes next. */
function walk(words: readonly string[]): { command: Command | undefined; positionals: readonly string[]; awaits: Flag | undefined } {
  let command: Command | undefined;
  const positionals: string[] = [];
  let awaits: Flag | undefined;
  for (const word of words) {
    if (awaits !== undefined) awaits = undefined;
    else if (word.startsWith('-')) awaits = word.includes('=') ? undefined : flagOf(word, command);
    else if (command === undefined) command = findCommand(word);
    else positionals.push(word);
  }
  return { command, positionals, awaits };
}

/** The flag, if it takes a value and has none in this word. */
function flagOf(word: string, command: Command | undefined): Flag | undefined {
  const flag = [...(command?.flags ?? []), ...GLOBAL_FLAGS].find(
    ({ long, short }) => word === `--${long}` || (short !== undefined && word === `-${short}`),
  );
  return flag?.value === undefined ? undefined : flag;
}

function valueOf(flag: Flag, cluster: string | undefined): Completion {
  if (flag.choices !== undefined) return { kind: 'words', words: flag.choices };
  if (flag.long === 'namespace') return { kind: 'names', of: 'namespace', cluster };
  if (flag.long === 'instance') return { kind: 'names', of: 'instance', cluster };
  if (flag.long === 'segment') return { kind: 'names', of: 'segment', cluster };
  return NONE;
}
