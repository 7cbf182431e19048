import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { MUTATIONS } from '../../test/simulation/mutations/all.ts';

/** docs/protocol.md names places, tests and mutations: all of them are there. */

const ROOT = path.resolve(import.meta.dirname, '../..');
const textOf = (file: string): string => (existsSync(path.join(ROOT, file)) ? readFileSync(path.join(ROOT, file), 'utf8') : '');

interface Invariant {
  readonly rule: string;
  readonly places: readonly { readonly file: string; readonly symbol: string }[];
  readonly tests: readonly { readonly file: string; readonly name: string }[];
  readonly mutation: string | undefined;
}

/** Rows of the tables below "Every invariant". */
function invariants(): readonly Invariant[] {
  const [, section = ''] = textOf('docs/protocol.md').split('## Every invariant');
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (invariant |:?-)/.test(line))
    .map((line) => {
      const [, rule = '', places = '', tests = '', mutation = ''] = line.split('|').map((cell) => cell.trim());
      return {
        rule,
        places: [...places.matchAll(/`([^`]+)` `([^`]+)`/g)].map(([, file = '', symbol = '']) => ({ file, symbol })),
        tests: [...tests.matchAll(/`([^`]+)` "([^"]+)"/g)].map(([, file = '', name = '']) => ({ file, name })),
        mutation: /`([^`]+)`/.exec(mutation)?.[1],
      };
    });
}

describe.each(invariants())('$rule', ({ places, tests }) => {
  test('is kept where it says', () => {
    expect(places).not.toEqual([]);
    for (const { file, symbol } of places) {
      const name = new RegExp(`(?<![\\w#])${symbol}\\b`);
      expect(textOf(file), `${symbol} in ${file}`).toMatch(name);
    }
  });

  test('has the tests that it names', () => {
    expect(tests).not.toEqual([]);
    for (const { file, name } of tests) {
      expect(file).toMatch(/\.test\.ts$/);
      expect(textOf(file).replaceAll("\\'", "'"), `"${name}" in ${file}`).toContain(name);
    }
  });
});

test.each(invariants().filter(({ mutation }) => mutation !== undefined))(
  '$mutation is a mutation of a line in a place of its row',
  ({ places, mutation }) => {
    const found = MUTATIONS.find(({ name }) => name === mutation);
    expect(found, mutation).toBeDefined();
    expect(places.map(({ file }) => file)).toContain(found?.edits[0]?.file);
  },
);

test('every mutation is in the table', () => {
  const listed = new Set(invariants().map(({ mutation }) => mutation));
  expect(MUTATIONS.map(({ name }) => name).filter((name) => !listed.has(name))).toEqual([]);
});
