import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyEncryptionKey } from '@kube-aurora/at-rest';

/** A directory of keys as a storage pod has it mounted: `key` wraps, others unwrap what was wrapped before. */
export class EncryptionKeys {
  readonly file: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.file = join(directory, 'key');
    mkdirSync(directory);
    this.set({ key: 1 });
  }

  /** What the Secret holds from now on: entries, and by what number the key in it is known. */
  set(entries: Readonly<Record<string, number>>): void {
    for (const [name, key] of Object.entries(entries)) {
      const path = join(this.#directory, name);
      writeFileSync(`${path}.new`, Buffer.alloc(32, key).toString('base64'));
      renameSync(`${path}.new`, path);
    }
    for (const name of readdirSync(this.#directory)) if (!Object.hasOwn(entries, name)) rmSync(join(this.#directory, name));
  }

  static fingerprint(key: number): string {
    return new KeyEncryptionKey(Buffer.alloc(32, key)).fingerprint;
  }
}

/** Files below directories in which the bytes stand. */
export function filesWith(bytes: Buffer, directories: readonly string[]): string[] {
  return directories.flatMap((directory) =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => readFileSync(path).includes(bytes)),
  );
}
