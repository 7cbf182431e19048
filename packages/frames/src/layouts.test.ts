import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FRAME_RULES } from './frame-types.ts';
import { LAYOUTS } from './layouts.ts';

/** The tables of proto/frames.md, by the heading above each. */
const text = readFileSync(new URL('../../../proto/frames.md', import.meta.url), 'utf8');
const sections = new Map(
  text
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')).trim(), section]),
);
const rows = (section: string): string[][] =>
  section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()));

it.each(Object.entries(LAYOUTS))('%s: the page has the layout that the code has', (name, layout) => {
  const documented = rows(sections.get(name) ?? '').flatMap(([, at, bytes, field]) =>
    /^\d+$/.test(bytes ?? '') ? [{ name: field, at: Number(at), bytes: Number(bytes) }] : [],
  );
  expect(documented).toEqual(layout.rows);
  expect(layout.size).toBe(layout.rows.reduce((sum, { bytes }) => sum + bytes, 0));
});

it('the page has no other layouts, and the frames that the code has', () => {
  expect([...sections.keys()].toSorted()).toEqual(Object.keys(LAYOUTS).toSorted());
  const documented = rows(sections.get('frame') ?? '').flatMap(([, type, name, from]) =>
    /^\d+$/.test(type ?? '') && /^[A-Z]+$/.test(name ?? '') ? [[Number(type), name, from]] : [],
  );
  const sender = { client: 'client', server: 'daemon', both: 'both' } as const;
  expect(documented).toEqual([...FRAME_RULES].map(([type, { name, from }]) => [type, name, sender[from]]));
});
