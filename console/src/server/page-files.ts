import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
}

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'console.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

/** The built page, by the path that it is asked for. Read once: what is not here is served to nobody. Throws where one is missing. */
export function readPageFiles(directory: string): ReadonlyMap<string, PageFile> {
  return new Map(
    Object.entries(TYPES).flatMap(([name, type]) => {
      const file = { type, content: readFileSync(path.join(directory, name)) };
      return name === 'index.html' ? [['/', file] as const, [`/${name}`, file] as const] : [[`/${name}`, file] as const];
    }),
  );
}
