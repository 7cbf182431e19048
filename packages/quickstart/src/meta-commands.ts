import { catalogList, relationList, type CatalogList } from './catalog-lists.ts';
import { parseCopy, type CopyCommand } from './copy-command.ts';

/** What a backslash command asks for; the session carries it out. */
export type MetaCommand =
  | { readonly kind: 'list'; readonly list: CatalogList }
  | { readonly kind: 'describe'; readonly pattern: string }
  | { readonly kind: 'quit' | 'help' | 'conninfo' }
  | { readonly kind: 'toggle'; readonly what: Toggle; readonly to: boolean | undefined }
  | { readonly kind: 'connect'; readonly database: string }
  | { readonly kind: 'watch'; readonly everyMs: number; readonly times: number }
  | { readonly kind: 'go'; readonly expanded: boolean }
  | (CopyCommand & { readonly kind: 'copy' })
  | { readonly kind: 'unknown'; readonly message: string };

export type Toggle = 'timing' | 'expanded' | 'unaligned' | 'tuplesOnly';
const TOGGLES: Readonly<Record<string, Toggle>> = { '\\timing': 'timing', '\\x': 'expanded', '\\a': 'unaligned', '\\t': 'tuplesOnly' };

const WATCH_EVERY_S = 2;

export const META_HELP = `  \\d [NAME]  relations, or all of one           \\dt \\di \\dv \\dm \\ds [PATTERN]  tables, indexes, views …; + for more
  \\df  functions     \\dn  schemas     \\du  roles     \\dx  extensions     \\l  databases
  \\copy TABLE from|to 'FILE' [OPTIONS]           \\watch [SECONDS]  the last query again and again; Ctrl-C ends it
  \\c DATABASE  connect to another database       \\conninfo  where we are connected
  \\timing [on|off]  how long statements take     \\x [on|off]  one column a line     \\gx  run it so once
  \\a  unaligned     \\t  rows only     \\q  quit`;

const unknown = (message: string): MetaCommand => ({ kind: 'unknown', message });

/** Reads one backslash command. */
export function metaCommand(line: string): MetaCommand {
  const text = line.trim();
  if (/^\\copy(\s|$)/i.test(text)) {
    const copy = parseCopy(text.slice('\\copy'.length).replace(/;\s*$/, ''));
    return copy.kind === 'copy' ? copy : unknown(copy.message);
  }
  const [command = '', argument, ...more] = text.replace(/;$/, '').split(/\s+/);
  const toggle = TOGGLES[command];
  if (toggle !== undefined) return readToggle(command, toggle, argument);
  switch (command) {
    case '\\q':
      return { kind: 'quit' };
    case '\\?':
    case '\\h':
      return { kind: 'help' };
    case '\\conninfo':
      return { kind: 'conninfo' };
    case '\\g':
      return { kind: 'go', expanded: false };
    case '\\gx':
      return { kind: 'go', expanded: true };
    case '\\watch':
      return readWatch([...(argument === undefined ? [] : [argument]), ...more]);
    case '\\c':
    case '\\connect':
      return argument === undefined ? unknown('\\c needs the name of a database') : { kind: 'connect', database: argument };
    case '\\d':
    case '\\d+': {
      if (argument !== undefined) return { kind: 'describe', pattern: argument };
      const list = relationList('', command.endsWith('+'), undefined);
      return list === undefined ? unknown(`invalid command ${command}`) : { kind: 'list', list };
    }
    default: {
      const list = catalogList(command, argument);
      return list === undefined ? unknown(`invalid command ${command}\nTry \\? for help.`) : { kind: 'list', list };
    }
  }
}

function readToggle(command: string, what: Toggle, argument: string | undefined): MetaCommand {
  if (argument === undefined) return { kind: 'toggle', what, to: undefined };
  if (/^(on|true|yes|1)$/i.test(argument)) return { kind: 'toggle', what, to: true };
  if (/^(off|false|no|0)$/i.test(argument)) return { kind: 'toggle', what, to: false };
  return unknown(`unrecognized value "${argument}" for "${command}": Boolean expected`);
}

/** `\watch 5`, `\watch i=5 c=10`. */
function readWatch(words: readonly string[]): MetaCommand {
  let every = WATCH_EVERY_S;
  let times = Infinity;
  for (const word of words) {
    const [, name, value = ''] = /^(?:(i|interval|c|count)=)?(.*)$/.exec(word) ?? [];
    const number = Number(value);
    if (value === '' || !Number.isFinite(number) || number < 0) return unknown(`\\watch: incorrect interval value "${word}"`);
    if (name === 'c' || name === 'count') times = number;
    else every = number;
  }
  return { kind: 'watch', everyMs: every * 1000, times };
}
