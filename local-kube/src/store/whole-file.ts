import { renameSync, writeFileSync } from 'node:fs';

/** Writes a file so that a kill at any moment leaves the old content or the new one, never half of it. Mode 0600. */
export function writeWhole(file: string, content: string): void {
  const partial = `${file}.${process.pid}.partial`;
  writeFileSync(partial, content, { mode: 0o600 });
  renameSync(partial, file);
}
