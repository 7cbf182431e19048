import { describe, expect, test } from 'vitest';
import { COMMANDS } from './command-table.ts';
import { completionAt } from './complete.ts';
import { completionScript, SHELLS } from './completion-scripts.ts';
import { commandHelp, generalHelp } from './help.ts';
import { parseCommandLine } from './parse.ts';

const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');
const parsed = (line: string) => {
  const { command, positionals, flags, rest } = parseCommandLine(words(line));
  return [command.name, [...positionals], Object.fromEntries(flags), [...rest]];
};

describe('a command line', () => {
  test.each([
    ['status', ['status', [], {}, []]],
    ['', ['help', [], {}, []]],
    ['--help', ['help', [], { help: '' }, []]],
    ['status demo -n prod', ['status', ['demo'], { namespace: 'prod' }, []]],
    ['-n prod status demo', ['status', ['demo'], { namespace: 'prod' }, []]],
    ['--namespace=prod status -w -o json', ['status', [], { namespace: 'prod', watch: '', output: 'json' }, []]],
    ['status -Aojson', ['status', [], { 'all-namespaces': '', output: 'json' }, []]],
    ['status -o=yaml', ['status', [], { output: 'yaml' }, []]],
    ['status -h', ['status', [], { help: '' }, []]],
    ['psql demo --role ro -- -c select', ['psql', ['demo'], { role: 'ro' }, ['-c', 'select']]],
    ['psql demo --token --serviceaccount ops/dba', ['psql', ['demo'], { token: '', serviceaccount: 'ops/dba' }, []]],
    ['psql -- --help', ['psql', [], {}, ['--help']]],
    ['logs demo -f --instance=1', ['logs', ['demo'], { follow: '', instance: '1' }, []]],
    ['switchover demo demo-2', ['switchover', ['demo', 'demo-2'], {}, []]],
    ['help psql', ['help', ['psql'], {}, []]],
  ])('%j', (line, expected) => {
    expect(parsed(line)).toEqual(expected);
  });

  test.each([
    ['statsu', /unknown command "statsu" for "kubectl aurora"\n\nDid you mean this\?\n\tstatus\n\nRun 'kubectl aurora help' for usage\./],
    ['xyzzy', /^unknown command "xyzzy" for "kubectl aurora"\nRun/],
    ['status --colour', /^unknown flag: --colour\nSee 'kubectl aurora status --help' for usage\.$/],
    ['--colour', /^unknown flag: --colour\nSee 'kubectl aurora help' for usage\.$/],
    ['status -x', /^unknown shorthand flag: 'x' in -x/],
    ['status -wx', /^unknown shorthand flag: 'x' in -wx/],
    ['status -n', /^flag needs an argument: 'n' in -n/],
    ['status --namespace', /^flag needs an argument: --namespace/],
    ['status -o wide', /^invalid argument "wide" for "--output" flag: must be json or yaml/],
    ['psql --role rx', /must be rw, ro or r$/m],
    ['status --watch=1', /^invalid argument "1" for "--watch" flag: it takes none/],
    ['status a b', /^too many arguments: b/],
    ['status -- x', /^nothing may stand after --: x/],
  ])('%j is refused in kubectl’s words', (line, message) => {
    expect(() => parseCommandLine(words(line))).toThrow(message);
  });
});

test('help names every command and every flag', () => {
  for (const command of COMMANDS) {
    expect(generalHelp()).toContain(command.usage);
    for (const { long, help } of command.flags) expect(commandHelp(command)).toMatch(new RegExp(`--${long}.*${help.slice(0, 10)}`));
  }
});

describe('completion', () => {
  test.each([
    ['stat', ['status']],
    ['status --w', ['--watch']],
    ['status -o ', ['json', 'yaml']],
    ['psql --role ', ['rw', 'ro', 'r']],
    ['completion ', [...SHELLS]],
    ['help lo', ['logs']],
    ['version ', []],
    ['psql -- ', []],
  ])('%j', (line, expected) => {
    const found = completionAt(line.split(' '));
    expect(found.kind === 'words' ? found.words.map((word) => word.split('\t')[0]) : found).toEqual(expected);
  });

  test.each([
    ['status ', { of: 'cluster', cluster: undefined }],
    ['-n prod status ', { of: 'cluster', cluster: undefined }],
    ['switchover demo ', { of: 'instance', cluster: 'demo' }],
    ['restart demo d', { of: 'member', cluster: 'demo' }],
    ['logs demo --segment ', { of: 'segment', cluster: 'demo' }],
    ['status -n ', { of: 'namespace', cluster: undefined }],
  ])('%j asks the API server', (line, expected) => {
    expect(completionAt(line.split(' '))).toEqual({ kind: 'names', ...expected });
  });

  test('scripts are there for three shells', () => {
    for (const shell of SHELLS) expect(completionScript(shell)).toContain('kubectl-aurora __complete');
    expect(() => completionScript('csh')).toThrow('bash, zsh, fish');
  });
});
