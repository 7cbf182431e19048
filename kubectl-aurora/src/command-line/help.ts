import { COMMANDS, GLOBAL_FLAGS, type Command, type Flag } from './command-table.ts';

/** What there is. */
export function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ usage }) => usage.length));
  return [
    'kubectl aurora: looks after AuroraClusters.',
    '',
    'Usage:',
    '  kubectl aurora COMMAND [NAME] [flags]',
    '',
    'Commands:',
    ...COMMANDS.map(({ usage, summary }) => `  ${usage.padEnd(width)}   ${summary}`),
    '',
    'Flags of every command:',
    ...flagLines(GLOBAL_FLAGS),
    '',
    'NAME may be left out where the namespace has one cluster. Nothing is run in pods: all is read from the API server.',
    '',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  return [
    command.summary + '.',
    ...(command.details === undefined ? [] : ['', command.details]),
    '',
    'Usage:',
    `  kubectl aurora ${command.usage}`,
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
    ...(command.flags.length === 0 ? [] : ['', 'Flags:', ...flagLines(command.flags)]),
    '',
    'Flags of every command:',
    ...flagLines(GLOBAL_FLAGS),
    '',
  ].join('\n');
}

function flagLines(flags: readonly Flag[]): string[] {
  const heads = flags.map(
    ({ long, short, value }) => `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`,
  );
  const width = Math.max(...heads.map((head) => head.length));
  return flags.map(({ help }, index) => `  ${(heads[index] ?? '').padEnd(width)}   ${help}`);
}
