import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readKey, type KeyEncryptionKey } from '@kube-aurora/at-rest';
import { ConfigError, type Logger } from '@kube-aurora/process';
import type { KeySource } from './key-source.ts';

type Reading = { readonly kind: 'keys'; readonly keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]] } | Unusable;
interface Unusable {
  readonly kind: 'unusable';
  readonly problem: string;
}

/**
 * The keys that wrap data keys, out of a directory that is looked at while the program runs: one file names the key that wraps, and every
 * other file beside it that is a key unwraps what was wrapped before.
 *
 * Invariant: there is always a key that wraps. What cannot be used is said loudly and changes nothing.
 */
export class KeyDirectory implements KeySource {
  readonly #path: string;
  readonly #logger: Logger;
  #keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]];
  #problem: string | undefined;

  private constructor(path: string, logger: Logger, keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]]) {
    this.#path = path;
    this.#logger = logger;
    this.#keys = keys;
  }

  /** Rejects with ConfigError, which names the setting, when there is no key to begin with. */
  static async open(path: string, setting: string, logger: Logger): Promise<KeyDirectory> {
    const reading = await read(path);
    if (reading.kind === 'unusable') throw new ConfigError([`${setting}: ${path} ${reading.problem}; nothing was opened or changed`]);
    return new KeyDirectory(path, logger, reading.keys);
  }

  get current(): KeyEncryptionKey {
    return this.#keys[0];
  }

  get keys(): readonly KeyEncryptionKey[] {
    return this.#keys;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  /** It has all its keys at once. */
  awaited(): undefined {
    return undefined;
  }

  async look(): Promise<void> {
    const reading = await read(this.#path);
    const before = this.#problem;
    this.#problem = reading.kind === 'unusable' ? `${this.#path} ${reading.problem}` : undefined;
    if (reading.kind === 'keys') this.#keys = reading.keys;
    else if (this.#problem !== before)
      this.#logger.error({ problem: this.#problem }, 'the key cannot be used: those from before stay in use');
  }

  close(): void {
    // Nothing is open between two looks.
  }
}

async function read(path: string): Promise<Reading> {
  const directory = dirname(path);
  let current: KeyEncryptionKey | undefined;
  const others: KeyEncryptionKey[] = [];
  try {
    for (const name of await readdir(directory)) {
      // A mounted Secret has directories of that kind.
      if (name.startsWith('..')) continue;
      const reading = readKey(await readFile(join(directory, name)));
      if (name === basename(path)) {
        if (reading.kind === 'unusable') return reading;
        current = reading.key;
      } else if (reading.kind === 'key') others.push(reading.key);
    }
  } catch (error) {
    return { kind: 'unusable', problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (current === undefined) return { kind: 'unusable', problem: 'is not there' };
  return { kind: 'keys', keys: [current, ...others] };
}
