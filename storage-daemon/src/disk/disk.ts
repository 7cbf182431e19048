import type { KeyedStore, KeyedStoreOptions } from './keyed-store.ts';

/**
 * What the storage code asks of a disk: files with their directories, and stores of keyed values. Injected, so that a
 * simulation can lose, tear and corrupt under the very code that ships. `systemDisk` is the machine's own.
 *
 * What a crash leaves, and all that may be relied on: file content that a `sync` covered, directory entries that a
 * `syncDirectory` covered (of the rest any part, in any mixture of old and new, torn within a sector's bounds), and of
 * a KeyedStore what its own docstring says. A rename replaces its target whole or not at all.
 *
 * Errors are Node's own, with `code` (ENOSPC, EIO, EROFS, EMFILE, ENOENT …). After a failed sync it is unknown what was
 * kept.
 */
export interface Disk {
  /** With all directories above it, their entries durable when it resolves; nothing happens when it is there. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory, in no order; none when it does not exist. */
  list(path: string): string[];
  exists(path: string): boolean;
  /** A small file, whole; undefined when it does not exist. */
  readFile(path: string): Buffer | undefined;
  openFile(path: string, mode: OpenMode): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /** Nothing happens when it does not exist. */
  removeFile(path: string): Promise<void>;
  /** A directory and all in it; nothing happens when it does not exist. */
  removeTree(path: string): Promise<void>;
  /** Makes a directory's entries durable. */
  syncDirectory(path: string): Promise<void>;
  /** Of the file system that holds a directory. */
  space(directory: string): Promise<DiskSpace>;
  openStore(directory: string, options: KeyedStoreOptions): Promise<KeyedStore>;
}

/** In bytes. */
export interface DiskSpace {
  /** What this process may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** create: made anew, empty. existing: must be there. */
export type OpenMode = 'create' | 'existing';

/** A file that is open for reading and writing. Offsets and lengths in bytes. */
export interface DiskFile {
  /** Length when it was opened. */
  readonly size: number;
  /** For whoever writes to it beside this program's own calls; undefined where nobody else can. */
  readonly descriptor: number | undefined;
  /** Reads up to `bytes`; fewer only at the end of the file. On the caller's thread. */
  readHere(into: Buffer, intoOffset: number, bytes: number, offset: number): number;
  /** The same, on another thread where it waits for the disk. */
  read(into: Buffer, intoOffset: number, bytes: number, offset: number): Promise<number>;
  /** Writes all of it, on the caller's thread. */
  writeHere(buffers: readonly Buffer[], offset: number): void;
  /** Writes all of it. */
  write(buffers: readonly Buffer[], offset: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** Content is durable when it resolves (fdatasync). */
  sync(): Promise<void>;
  /** The same on the caller's thread. */
  syncHere(): void;
  /** Likewise; gives the milliseconds that the disk took, without those for which the thread waited for a core. */
  syncTimed(): number;
  /** Whoever has the descriptor wrote and synced, in so many milliseconds. */
  noteSynced(ms: number): void;
  close(): Promise<void>;
}
