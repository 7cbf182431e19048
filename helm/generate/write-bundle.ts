import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Writes a bundle's files below a folder. */
export function writeBundle(folder: string, files: ReadonlyMap<string, string>): void {
  for (const [name, content] of files) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}
