import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MUTATIONS } from './all.ts';

it.each(MUTATIONS)('$name can still be made: $rule', ({ edits }) => {
  for (const { file, find } of edits) {
    const source = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
    expect(source.split(find)).toHaveLength(2);
  }
});
