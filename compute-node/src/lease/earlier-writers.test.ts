import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { noteWriter } from './earlier-writers.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'writers-'));
  file = join(directory, 'scratch', 'writers');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('knows those before it on this directory, also when several died in a row', () => {
  expect(noteWriter(file, 'a', 'boot')).toEqual([]);
  expect(noteWriter(file, 'b', 'boot')).toEqual(['a']);
  expect(noteWriter(file, 'c', 'boot')).toEqual(['a', 'b']);
});

it('keeps a bounded number of them', () => {
  for (let number = 0; number < 40; number++) noteWriter(file, `w${number}`, 'boot');
  expect(noteWriter(file, 'last', 'boot')).toEqual(Array.from({ length: 16 }, (_, index) => `w${24 + index}`));
});

it('believes no note of another boot, or of another machine', () => {
  noteWriter(file, 'a', 'boot');
  expect(noteWriter(file, 'b', 'another')).toEqual([]);
  expect(noteWriter(file, 'c', 'another')).toEqual(['b']);
});

it.each(['', '{', '[]', 'null', '{"bootId":1,"writerIds":[]}', '{"bootId":"boot","writerIds":"a"}'])(
  'knows nobody from what is no note: %s',
  (text) => {
    noteWriter(file, 'a', 'boot');
    writeFileSync(file, text);
    expect(noteWriter(file, 'b', 'boot')).toEqual([]);
  },
);

it('takes the machine’s own boot', () => {
  expect(noteWriter(file, 'a')).toEqual([]);
  expect(noteWriter(file, 'b')).toEqual(['a']);
});
