import type { Disk, DiskFile, DiskSpace, OpenMode } from '../disk/disk.ts';
import type { BatchOperation, KeyedStore, KeyedStoreOptions, StoreEntry } from '../disk/keyed-store.ts';

/**
 * A disk that does what another one does, until it is told to fail: before any change to a file, a directory or a
 * store.
 */

export interface DiskOperation {
  readonly kind:
    | 'make directory'
    | 'create'
    | 'write'
    | 'truncate'
    | 'sync'
    | 'rename'
    | 'remove file'
    | 'remove tree'
    | 'sync directory'
    | 'open store'
    | 'batch';
  /** Of the file, directory or store. */
  readonly path: string;
  /** Of a write. */
  readonly bytes: number;
}

export interface DiskFault {
  readonly error: Error;
  /** Of a write: so many bytes are written before it fails. */
  readonly written?: number;
}

/** Asked before every change; the change is made when it gives nothing. */
export type FaultOf = (operation: DiskOperation) => DiskFault | undefined;

/** A file system error as Node makes it. */
export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: the test's disk says so`), { code, errno: -1 });
}

export class FaultDisk implements Disk {
  readonly #real: Disk;
  readonly #faultOf: FaultOf;
  readonly #open = new Set<{ close(): Promise<void> }>();
  #pending: Promise<unknown> = Promise.resolve();
  /** What it says is free; the real disk's when undefined. */
  freeBytes: number | undefined;

  constructor(real: Disk, faultOf: FaultOf) {
    this.#real = real;
    this.#faultOf = faultOf;
  }

  /** As a process that ends: what is under way ends, what is open is closed, and nothing else changes. */
  async abandon(): Promise<void> {
    await this.#pending;
    for (const one of this.#open) await one.close();
    this.#open.clear();
  }

  /** Makes a change unless it is to fail. */
  change<T>(kind: DiskOperation['kind'], path: string, make: () => Promise<T>): Promise<T> {
    const fault = this.fault(kind, path, 0);
    if (fault !== undefined) return Promise.reject(fault.error);
    const done = make();
    this.#pending = Promise.allSettled([this.#pending, done]);
    return done;
  }

  fault(kind: DiskOperation['kind'], path: string, bytes: number): DiskFault | undefined {
    return this.#faultOf({ kind, path, bytes });
  }

  opened<T extends { close(): Promise<void> }>(one: T): T {
    this.#open.add(one);
    return one;
  }

  async closed(one: { close(): Promise<void> }): Promise<void> {
    if (this.#open.delete(one)) await one.close();
  }

  makeDirectory(path: string): Promise<void> {
    return this.change('make directory', path, () => this.#real.makeDirectory(path));
  }
  list(path: string): string[] {
    return this.#real.list(path);
  }
  exists(path: string): boolean {
    return this.#real.exists(path);
  }
  readFile(path: string): Buffer | undefined {
    return this.#real.readFile(path);
  }
  async openFile(path: string, mode: OpenMode): Promise<DiskFile> {
    const open = (): Promise<DiskFile> => this.#real.openFile(path, mode);
    return new FaultFile(this, path, this.opened(await (mode === 'create' ? this.change('create', path, open) : open())));
  }
  rename(from: string, to: string): Promise<void> {
    return this.change('rename', from, () => this.#real.rename(from, to));
  }
  removeFile(path: string): Promise<void> {
    return this.change('remove file', path, () => this.#real.removeFile(path));
  }
  removeTree(path: string): Promise<void> {
    return this.change('remove tree', path, () => this.#real.removeTree(path));
  }
  syncDirectory(path: string): Promise<void> {
    return this.change('sync directory', path, () => this.#real.syncDirectory(path));
  }
  space(directory: string): Promise<DiskSpace> {
    return this.freeBytes === undefined
      ? this.#real.space(directory)
      : Promise.resolve({ freeBytes: this.freeBytes, totalBytes: 1024 * 1024 * 1024 * 1024 });
  }
  async openStore(directory: string, options: KeyedStoreOptions): Promise<KeyedStore> {
    const store = await this.change('open store', directory, () => this.#real.openStore(directory, options));
    return new FaultStore(this, directory, this.opened(store));
  }
}

class FaultFile implements DiskFile {
  readonly #disk: FaultDisk;
  readonly #path: string;
  readonly #real: DiskFile;

  constructor(disk: FaultDisk, path: string, real: DiskFile) {
    this.#disk = disk;
    this.#path = path;
    this.#real = real;
  }

  get size(): number {
    return this.#real.size;
  }
  /** Nobody is to write past the faults. */
  get descriptor(): undefined {
    return undefined;
  }
  noteSynced(ms: number): void {
    this.#real.noteSynced(ms);
  }
  readHere(into: Buffer, intoOffset: number, bytes: number, offset: number): number {
    return this.#real.readHere(into, intoOffset, bytes, offset);
  }
  read(into: Buffer, intoOffset: number, bytes: number, offset: number): Promise<number> {
    return this.#real.read(into, intoOffset, bytes, offset);
  }
  writeHere(buffers: readonly Buffer[], offset: number): void {
    const fault = this.#faultOfWrite(buffers, offset);
    if (fault !== undefined) throw fault.error;
    this.#real.writeHere(buffers, offset);
  }
  write(buffers: readonly Buffer[], offset: number): Promise<void> {
    const fault = this.#faultOfWrite(buffers, offset);
    if (fault !== undefined) return Promise.reject(fault.error);
    // Here, so that no write is under way when the process is taken to end.
    this.#real.writeHere(buffers, offset);
    return Promise.resolve();
  }
  #faultOfWrite(buffers: readonly Buffer[], offset: number): DiskFault | undefined {
    const all = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const fault = this.#disk.fault('write', this.#path, all);
    if (fault?.written !== undefined && fault.written > 0) {
      this.#real.writeHere([Buffer.concat(buffers).subarray(0, fault.written)], offset);
    }
    return fault;
  }
  truncate(bytes: number): Promise<void> {
    return this.#disk.change('truncate', this.#path, () => this.#real.truncate(bytes));
  }
  sync(): Promise<void> {
    return this.#disk.change('sync', this.#path, () => this.#real.sync());
  }
  syncHere(): void {
    const fault = this.#disk.fault('sync', this.#path, 0);
    if (fault !== undefined) throw fault.error;
    this.#real.syncHere();
  }
  syncTimed(): number {
    const fault = this.#disk.fault('sync', this.#path, 0);
    if (fault !== undefined) throw fault.error;
    return this.#real.syncTimed();
  }
  close(): Promise<void> {
    return this.#disk.closed(this.#real);
  }
}

class FaultStore implements KeyedStore {
  readonly #disk: FaultDisk;
  readonly #path: string;
  readonly #real: KeyedStore;

  constructor(disk: FaultDisk, path: string, real: KeyedStore) {
    this.#disk = disk;
    this.#path = path;
    this.#real = real;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#real.get(key);
  }
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#real.getMany(keys);
  }
  batch(operations: readonly BatchOperation[]): Promise<void> {
    return this.#disk.change('batch', this.#path, () => this.#real.batch(operations));
  }
  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer> {
    return this.#real.keys(from, to);
  }
  entries(after?: Buffer): AsyncIterable<StoreEntry> {
    return this.#real.entries(after);
  }
  approximateBytes(): Promise<number> {
    return this.#real.approximateBytes();
  }
  compact(): Promise<void> {
    return this.#real.compact();
  }
  close(): Promise<void> {
    return this.#disk.closed(this.#real);
  }
}

/** A disk whose files sync nothing, for tests in which processes die and machines do not. */
export function unsyncedDisk(real: Disk): Disk {
  const none = (): Promise<void> => Promise.resolve();
  return {
    makeDirectory: (path) => real.makeDirectory(path),
    list: (path) => real.list(path),
    exists: (path) => real.exists(path),
    readFile: (path) => real.readFile(path),
    rename: (from, to) => real.rename(from, to),
    removeFile: (path) => real.removeFile(path),
    removeTree: (path) => real.removeTree(path),
    syncDirectory: none,
    space: (directory) => real.space(directory),
    async openFile(path, mode) {
      const file = await real.openFile(path, mode);
      return {
        size: file.size,
        descriptor: undefined,
        noteSynced: (ms) => file.noteSynced(ms),
        readHere: (into, intoOffset, bytes, offset) => file.readHere(into, intoOffset, bytes, offset),
        read: (into, intoOffset, bytes, offset) => file.read(into, intoOffset, bytes, offset),
        writeHere: (buffers, offset) => file.writeHere(buffers, offset),
        write: (buffers, offset) => file.write(buffers, offset),
        truncate: (bytes) => file.truncate(bytes),
        sync: none,
        syncHere: () => undefined,
        syncTimed: () => 0,
        close: () => file.close(),
      };
    },
    openStore: (directory, options) => real.openStore(directory, options),
  };
}
