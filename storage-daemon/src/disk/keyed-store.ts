/**
 * Values by key in key order: what LevelDB is used for.
 *
 * After a crash each batch is whole or not there at all, and all that a `makeDurable` covered is there. A process's
 * death loses nothing. When the power goes, of what came later a batch with `sync` stays, but not what was written
 * before it: LevelDB syncs the log that the batch is in, and a log that was full by then may be lost in part.
 */
export interface KeyedStore {
  /** The caller's own bytes; undefined when there is none. Throws StoreDamageError. */
  get(key: Buffer): Promise<Buffer | undefined>;
  /** In the order of the keys. Throws StoreDamageError. */
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  batch(operations: readonly BatchOperation[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Everything written before it is durable when it resolves. */
  makeDurable(): Promise<void>;
  /** Keys from `from` (inclusive) to `to` (exclusive), as of the call. */
  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer>;
  /** Everything past `after`, as of the call, in key order. Throws StoreDamageError. */
  entries(after?: Buffer): AsyncIterable<StoreEntry>;
  /** Bytes on disk, roughly. */
  approximateBytes(): Promise<number>;
  /**
   * Reads about `bytes` of the store's own files back from where the last call stopped; gives how many. Throws
   * StoreDamageError.
   */
  checkFiles(bytes: number): Promise<number>;
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
