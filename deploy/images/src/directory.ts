import { chmodSync, copyFileSync, lutimesSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from './file-tree.ts';

/**
 * Writes entries as files into the directory `root`: what a Dockerfile copies. Times are those of the layers.
 */
export function writeDirectory(root: string, entries: readonly Entry[]): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  chmodSync(root, 0o755);
  for (const entry of entries) {
    const path = join(root, entry.path);
    if (entry.kind === 'directory') mkdirSync(path);
    else if (entry.kind === 'symlink') symlinkSync(entry.target, path);
    else if (Buffer.isBuffer(entry.content)) writeFileSync(path, entry.content);
    else copyFileSync(entry.content.from, path);
    // By chmod, which the umask has no say in.
    if (entry.kind !== 'symlink') chmodSync(path, entry.mode);
  }
  // Deepest first: what is put into a directory changes its time.
  for (const { path } of entries.toReversed()) lutimesSync(join(root, path), 0, 0);
}
