import { UsageError } from '../kube/errors.ts';
import { COMMANDS, findCommand, GLOBAL_FLAGS, type Command, type Flag } from './command-table.ts';

/** A command line that makes sense. */
export interface Parsed {
  readonly command: Command;
  readonly positionals: readonly string[];
  /** By long name; a switch that was given is `''`. */
  readonly flags: ReadonlyMap<string, string>;
  /** What stood after `--`. */
  readonly rest: readonly string[];
}

/**
 * Reads the words after `kubectl aurora`. Flags may stand anywhere, as with kubectl. Throws UsageError in kubectl's words for what is
 * wrong.
 */
export function parseCommandLine(words: readonly string[]): Parsed {
  const flags = new Map<string, string>();
  const positionals: string[] = [];
  let command: Command | undefined;
  let rest: readonly string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      rest = words.slice(at + 1);
      break;
    }
    if (word.startsWith('-') && word !== '-') {
      const { given, value } = readFlag(word, command);
      for (const flag of given.slice(0, -1)) flags.set(flag.long, '');
      const last = given.at(-1);
      if (last === undefined) continue;
      if (last.value === undefined) {
        if (value !== undefined) throw usage(command, `invalid argument "${value}" for "--${last.long}" flag: it takes none`);
        flags.set(last.long, '');
      } else {
        const text = value ?? words[++at];
        if (text === undefined)
          throw usage(command, `flag needs an argument: ${word.startsWith('--') ? word : `'${last.short ?? ''}' in ${word}`}`);
        if (last.choices !== undefined && !last.choices.includes(text))
          throw usage(command, `invalid argument "${text}" for "--${last.long}" flag: must be ${oneOf(last.choices)}`);
        flags.set(last.long, text);
      }
    } else if (command === undefined) {
      command = findCommand(word);
      if (command === undefined) throw unknownCommand(word);
    } else positionals.push(word);
  }
  // `kubectl aurora` and `kubectl aurora --help`.
  command ??= findCommand('help') ?? COMMANDS[0];
  if (command === undefined) throw new TypeError('there are no commands');
  if (flags.has('help')) return { command, positionals: [], flags, rest };
  const most = command.name === 'help' ? 1 : command.arguments.length;
  if (positionals.length > most) throw usage(command, `too many arguments: ${positionals.slice(most).join(' ')}`);
  if (rest.length > 0 && command.passesOn !== true) throw usage(command, `nothing may stand after --: ${rest.join(' ')}`);
  return { command, positionals, flags, rest };
}

/** `--flag`, `--flag=value`, `-f`, `-fvalue`, `-f=value`, and switches in a row. */
function readFlag(word: string, command: Command | undefined): { readonly given: readonly Flag[]; readonly value: string | undefined } {
  const known = [...(command?.flags ?? []), ...GLOBAL_FLAGS];
  if (word.startsWith('--')) {
    const equals = word.indexOf('=');
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const flag = known.find(({ long }) => long === name);
    if (flag === undefined) throw usage(command, `unknown flag: --${name}`);
    return { given: [flag], value: equals < 0 ? undefined : word.slice(equals + 1) };
  }
  const given: Flag[] = [];
  for (let at = 1; at < word.length; at++) {
    const letter = word[at] ?? '';
    const flag = known.find(({ short }) => short === letter);
    if (flag === undefined) throw usage(command, `unknown shorthand flag: '${letter}' in ${word}`);
    given.push(flag);
    const after = word.slice(at + 1);
    if (flag.value !== undefined) return { given, value: after === '' ? undefined : after.replace(/^=/, '') };
  }
  return { given, value: undefined };
}

function unknownCommand(word: string): UsageError {
  const near = COMMANDS.filter(({ name }) => name.startsWith(word.slice(0, 3)) || distance(name, word) <= 2).map(({ name }) => `\t${name}`);
  const hint = near.length === 0 ? '' : `\n\nDid you mean this?\n${near.join('\n')}\n`;
  return new UsageError(`unknown command "${word}" for "kubectl aurora"${hint}\nRun 'kubectl aurora help' for usage.`);
}

/** Letters to be put in, left out or changed until one is the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [at, letter] of [...a].entries()) {
    const next = [at + 1];
    for (let index = 1; index <= b.length; index++)
      next.push(Math.min((next[index - 1] ?? 0) + 1, (row[index] ?? 0) + 1, (row[index - 1] ?? 0) + (letter === b[index - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** An error in what was said, with where to read what could be said. */
export function usage(command: Command | undefined, message: string): UsageError {
  return new UsageError(`${message}\nSee 'kubectl aurora ${command === undefined ? 'help' : `${command.name} --help`}' for usage.`);
}

function oneOf(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1) ?? ''}`;
}
