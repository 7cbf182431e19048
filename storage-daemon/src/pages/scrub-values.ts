import { decodeKey, type PageKey } from '@kube-aurora/redo-engine';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { PAGE_PREFIX } from './place-index.ts';
import { StoredValueError } from './stored-value.ts';

/** Pages that are read at once. */
const STRETCH = 64;

/** What of a page store is read back. */
export interface ScrubbedParts {
  readonly keys: (from: Buffer, before: Buffer) => AsyncIterable<Buffer>;
  /** What is damaged is its error. */
  readonly getMany: (pages: readonly PageKey[]) => Promise<readonly unknown[]>;
  /** Throws StoredValueError, or KeyUnusableError. */
  readonly value: (key: Buffer) => Promise<unknown>;
  /** Of the values beside pages. */
  readonly valueKeys: readonly Buffer[];
  readonly pageBytes: number;
}

export interface Scrubbed {
  readonly bytes: number;
  readonly damaged: readonly StoredValueError[];
  /** Where the next call goes on; undefined: from the start. */
  readonly next: Buffer | undefined;
}

/** Reads about `bytes` of pages back, from past `after` on, and at the end the other values. */
export async function scrubValues(
  { keys, getMany, value, valueKeys, pageBytes }: ScrubbedParts,
  after: Buffer | undefined,
  bytes: number,
): Promise<Scrubbed> {
  const most = Math.max(1, Math.ceil(bytes / Math.max(1, pageBytes)));
  const pages: PageKey[] = [];
  let next: Buffer | undefined;
  const start = after === undefined ? Buffer.from([PAGE_PREFIX]) : Buffer.concat([after, Buffer.from([0])]);
  for await (const key of keys(start, Buffer.from([PAGE_PREFIX + 1]))) {
    pages.push(decodeKey(key.subarray(1)));
    if (pages.length < most) continue;
    next = key;
    break;
  }
  const damaged: StoredValueError[] = [];
  for (let at = 0; at < pages.length; at += STRETCH) {
    for (const version of await getMany(pages.slice(at, at + STRETCH))) if (version instanceof StoredValueError) damaged.push(version);
  }
  for (const key of next === undefined ? valueKeys : []) {
    try {
      await value(key);
    } catch (error) {
      // In a store that was opened with its key it was changed since; the next checkpoint writes it anew.
      if (error instanceof KeyUnusableError) damaged.push(new StoredValueError(key, error.message));
      else if (error instanceof StoredValueError) damaged.push(error);
      else throw error;
    }
  }
  return { bytes: pages.length * pageBytes, damaged, next };
}
