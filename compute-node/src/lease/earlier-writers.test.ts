import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { noteEpoch, noteWriter } from './earlier-writers.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'writers-'));
  file = join(directory, 'scratch', 'writers');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const never = (writerId: string) => ({ writerId, epoch: undefined });

it('knows those before it on this directory, also when several died in a row', () => {
  expect(noteWriter(file, 'a', 'boot')).toEqual([]);
  expect(noteWriter(file, 'b', 'boot')).toEqual([never('a')]);
  expect(noteWriter(file, 'c', 'boot')).toEqual([never('a'), never('b')]);
});

it('knows the last epoch of each of them', () => {
  noteWriter(file, 'a', 'boot');
  noteEpoch(file, 'a', 7n, 'boot');
  noteWriter(file, 'b', 'boot');
  noteEpoch(file, 'b', 8n, 'boot');
  noteEpoch(file, 'b', 2n ** 63n, 'boot');
  expect(noteWriter(file, 'c', 'boot')).toEqual([
    { writerId: 'a', epoch: 7n },
    { writerId: 'b', epoch: 2n ** 63n },
  ]);
});

it('keeps a bounded number of them', () => {
  for (let number = 0; number < 40; number++) noteWriter(file, `w${number}`, 'boot');
  expect(noteWriter(file, 'last', 'boot')).toEqual(Array.from({ length: 16 }, (_, index) => never(`w${24 + index}`)));
});

it('believes no note of another boot, or of another machine', () => {
  noteWriter(file, 'a', 'boot');
  expect(noteWriter(file, 'b', 'another')).toEqual([]);
  noteEpoch(file, 'b', 3n, 'boot');
  expect(noteWriter(file, 'c', 'another')).toEqual([]);
});

it.each([
  '',
  '{',
  '[]',
  'null',
  '{"bootId":1,"writers":[]}',
  '{"bootId":"boot","writers":"a"}',
  '{"bootId":"boot","writers":[1,{"epoch":"1"}]}',
])('knows nobody from what is no note: %s', (text) => {
  noteWriter(file, 'a', 'boot');
  writeFileSync(file, text);
  expect(noteWriter(file, 'b', 'boot')).toEqual([]);
});

it('takes the machine’s own boot', () => {
  expect(noteWriter(file, 'a')).toEqual([]);
  noteEpoch(file, 'a', 5n);
  expect(noteWriter(file, 'b')).toEqual([{ writerId: 'a', epoch: 5n }]);
});
