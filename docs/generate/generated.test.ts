import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { generatedPages } from './pages.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

test('the reference is what the code says; npm run docs:generate makes it so', () => {
  for (const { file, content } of generatedPages()) expect(readFileSync(file, 'utf8'), path.basename(file)).toBe(content);
});

test('every abbreviation of the protocol and every word of the metrics is in the glossary', () => {
  const glossary = readFileSync(path.join(ROOT, 'docs/glossary.md'), 'utf8');
  for (const word of [
    'LSN',
    'SCL',
    'PGCL',
    'VDL',
    'PGMRPL',
    'epoch',
    'segment',
    'redo batch',
    'protection group',
    'checkpoint',
    'tombstone',
    'fence',
  ])
    expect(glossary, word).toContain(word);
});

test('every decision has a number of its own, a title, and says what else there was', () => {
  const pages = readdirSync(path.join(ROOT, 'docs/decisions')).filter((name) => name.endsWith('.md'));
  const numbers = pages.map((name) => name.slice(0, 4));
  expect(new Set(numbers).size).toBe(pages.length);
  for (const name of pages) {
    const text = readFileSync(path.join(ROOT, 'docs/decisions', name), 'utf8');
    expect(text, name).toMatch(/^# .+\n/);
    for (const heading of ['## Context', '## Decision', '## Instead', '## Consequences']) expect(text, name).toContain(heading);
  }
});
