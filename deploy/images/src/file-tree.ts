import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** One entry of a layer. Everything belongs to root and nobody else may write: what runs there cannot change it. */
export type Entry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Buffer | { readonly from: string } }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

export function text(path: string, content: string): Entry {
  return { kind: 'file', path, mode: 0o644, content: Buffer.from(content) };
}

export function copyOf(path: string, from: string, mode = 0o644): Entry {
  return { kind: 'file', path, mode, content: { from } };
}

/** A file or a directory with all that is in it, symbolic links as they are; `wanted` gets paths below `from`. */
export function copiesOf(to: string, from: string, wanted: (path: string) => boolean = () => true): Entry[] {
  const visit = (below: string): Entry[] => {
    const source = join(from, below);
    const found = lstatSync(source);
    const path = below === '' ? to : `${to}/${below}`;
    if (found.isDirectory()) {
      return readdirSync(source)
        .toSorted()
        .flatMap((name) => visit(below === '' ? name : `${below}/${name}`));
    }
    if (!wanted(below)) return [];
    if (found.isSymbolicLink()) return [{ kind: 'symlink', path, target: readlinkSync(source) }];
    return [copyOf(path, source, (found.mode & 0o111) === 0 ? 0o644 : 0o755)];
  };
  return visit('');
}

export function contentOf(entry: Extract<Entry, { kind: 'file' }>): Buffer {
  return Buffer.isBuffer(entry.content) ? entry.content : readFileSync(entry.content.from);
}

/**
 * The entries by path, each once, with the directories that they stand in. Throws when two entries want the same path.
 */
export function fileTree(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>();
  for (const entry of entries) {
    if (entry.path.startsWith('/') || entry.path.split('/').includes('..'))
      throw new TypeError(`'${entry.path}' is no path inside an image`);
    if (byPath.has(entry.path)) throw new TypeError(`two entries of an image want the path '${entry.path}'`);
    byPath.set(entry.path, entry);
  }
  for (const { path } of entries) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at);
      if (!byPath.has(parent)) byPath.set(parent, { kind: 'directory', path: parent, mode: 0o755 });
    }
  }
  // By code units, whatever the locale; a directory before what is in it.
  return [...byPath.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
