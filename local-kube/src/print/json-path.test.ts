import { describe, expect, it } from 'vitest';
import { jsonPath } from './json-path.ts';

const OBJECT = {
  metadata: { annotations: { 'example.dev/note': 'a' } },
  spec: { size: 0, list: [{ name: 'x' }, { name: 'y' }, { name: 'z' }] },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
};

describe('jsonPath', () => {
  it.each([
    ['.spec.size', [0]],
    ['spec.size', [0]],
    ['.spec.list[*].name', ['x', 'y', 'z']],
    ['.spec.list[1].name', ['y']],
    ['.spec.list[-1].name', ['z']],
    ['.spec.list[0:2].name', ['x', 'y']],
    [`.metadata.annotations['example.dev/note']`, ['a']],
    [String.raw`.metadata.annotations.example\.dev/note`, ['a']],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    [`.status.conditions[?(@.type!='Ready')].status`, ['False']],
    ['.status.nothing.here', []],
    ['.spec.list[7]', []],
  ])('%s', (path, expected) => {
    expect(jsonPath(OBJECT, path)).toEqual(expected);
  });
});
