/**
 * Values by key in key order: what LevelDB is used for.
 *
 * After a crash each batch is whole or not there at all, and each that had resolved is there.
 */
export interface KeyedStore {
  /** The caller's own bytes; undefined when there is none. Throws StoreDamageError. */
  get(key: Buffer): Promise<Buffer | undefined>;
  /** In the order of the keys. Throws StoreDamageError. */
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Durable when it resolves. */
  batch(operations: readonly BatchOperation[]): Promise<void>;
  /** Keys from `from` (inclusive) to `to` (exclusive), as of the call. */
  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer>;
  /** Everything past `after`, as of the call, in key order. Throws StoreDamageError. */
  entries(after?: Buffer): AsyncIterable<StoreEntry>;
  /** Bytes on disk, roughly. */
  approximateBytes(): Promise<number>;
  /** Gives back to the disk what was replaced or removed. */
  compact(): Promise<void>;
  close(): Promise<void>;
}

export type BatchOperation =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

export interface StoreEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface KeyedStoreOptions {
  readonly cacheBytes: number;
  readonly writeBufferBytes: number;
}

/** The store's own files are not what was written; which values are concerned cannot be told. */
export class StoreDamageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreDamageError';
  }
}
