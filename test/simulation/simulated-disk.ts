import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskSpace, OpenMode } from '../../storage-daemon/src/disk/disk.ts';
import type { KeyedStore, KeyedStoreOptions } from '../../storage-daemon/src/disk/keyed-store.ts';
import type { Machine } from './machine.ts';
import { FileContent } from './simulated-file.ts';
import { SimulatedStore, StoreContent } from './simulated-store.ts';

/**
 * A disk that keeps no more than it must. What was not synced may survive a crash or not (simulated-file.ts); entries
 * of directories survive up to some point in the order in which they were made; and the disk can be told to fail, to
 * fill up, to be slow, to lie about syncs and to damage what it holds.
 */

export interface DiskFaults {
  /** Every write, sync, truncate, create and rename fails with this. */
  failure: 'EIO' | 'ENOSPC' | 'EROFS' | undefined;
  /** Milliseconds that an operation takes, from and to. */
  latency: readonly [number, number];
  /** Says that it has synced, and has not. */
  lies: boolean;
  /** Says that it has no room. */
  full: boolean;
  /** So many of the next writes land somewhere else: at another place of their file, or in another file. */
  misdirected: number;
}

const CAPACITY_BYTES = 2 ** 40;

/** A file's content, a store, or undefined for a directory. */
type Content = FileContent | StoreContent | undefined;
type Entries = Map<string, Content>;

export class SimulatedDisk implements Disk {
  readonly faults: DiskFaults = { failure: undefined, latency: [0, 0], lies: false, full: false, misdirected: 0 };
  /** It has not kept what it said it had, or holds what nobody wrote there. */
  isTampered = false;
  /** Called once, when something was renamed and that is not durable yet. */
  onRename: (() => void) | undefined;
  readonly #machine: Machine;
  #entries: Entries = new Map();
  #durable: Entries = new Map();
  /** Changes of directories that are not durable, by directory, in order. */
  readonly #pending = new Map<string, ((entries: Entries) => void)[]>();

  constructor(machine: Machine) {
    this.#machine = machine;
    this.faults.latency = machine.world.mix.diskMs;
  }

  // What happens to it -----------------------------------------------------------------------------------------------

  /** The power fails: of what was not made durable any part may be gone. */
  crash(): void {
    const { random } = this.#machine.world;
    for (const changes of this.#pending.values()) {
      const mode = random.integer(0, 3);
      const kept = mode === 0 ? 0 : mode === 1 ? changes.length : random.integer(0, changes.length);
      for (const change of changes.slice(0, kept)) change(this.#durable);
    }
    this.#pending.clear();
    this.#entries = new Map(this.#durable);
    for (const [path, content] of this.#entries) {
      if (!this.#isReachable(path)) this.#entries.delete(path);
      else content?.crash(random);
    }
    this.#durable = new Map(this.#entries);
  }

  /** A new, empty disk in its place. */
  wipe(): void {
    this.isTampered = false;
    this.#entries = new Map();
    this.#durable = new Map();
    this.#pending.clear();
  }

  /** Everything that is durable, as of now, for `restore`. */
  snapshot(): Entries {
    return new Map([...this.#durable].map(([path, content]) => [path, content?.copy()]));
  }

  /** An old state of the disk comes back. */
  restore(snapshot: Entries): void {
    this.isTampered = true;
    this.#pending.clear();
    this.#durable = new Map([...snapshot].map(([path, content]) => [path, content?.copy()]));
    this.#entries = new Map(this.#durable);
  }

  /** Of the files whose path ends so, the last by name that a loss of power would leave with something in it. */
  lastWritten(end: string): string | undefined {
    const isWritten = ([path, content]: readonly [string, Content]): boolean =>
      path.endsWith(end) && content instanceof FileContent && content.durable.some((byte) => byte !== 0);
    return [...this.#durable]
      .filter(isWritten)
      .map(([path]) => path)
      .toSorted()
      .at(-1);
  }

  /**
   * Flips one bit somewhere in the files whose path `matches`, or in a stored value. Says where; undefined when there
   * is nothing.
   */
  flipBit(matches: (path: string) => boolean): string | undefined {
    const { random } = this.#machine.world;
    const targets = [...this.#entries].filter(([path, content]) => content !== undefined && content.bytes > 0 && matches(path));
    if (targets.length === 0) return undefined;
    const [path, content] = random.pick(targets);
    this.isTampered = true;
    return content === undefined ? undefined : `${path}: ${content.flipBit(random)}`;
  }

  /** Files that are directly in a directory, as a crash would leave them at least: by name. */
  durableFiles(directory: string): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    for (const [path, content] of this.#durable)
      if (content instanceof FileContent && dirname(path) === directory) files.set(path.slice(directory.length + 1), content.durable);
    return files;
  }

  /** A file as a crash would leave it at least; undefined when there would be none. */
  durableFile(path: string): Buffer | undefined {
    const content = this.#durable.get(path);
    return content instanceof FileContent ? content.durable : undefined;
  }

  /** A file as it stands, the disk's own bytes; undefined when there is none. */
  fileView(path: string): Buffer | undefined {
    const content = this.#entries.get(path);
    return content instanceof FileContent ? content.current : undefined;
  }

  /** The store in a directory, as it stands; undefined when there is none. */
  storeIn(directory: string): StoreContent | undefined {
    const content = this.#entries.get(`${directory}/store`);
    return content instanceof StoreContent ? content : undefined;
  }

  get bytes(): number {
    let sum = 0;
    for (const content of this.#entries.values()) sum += content?.bytes ?? 0;
    return sum;
  }

  #isReachable(path: string): boolean {
    for (let above = dirname(path); above !== '/'; above = dirname(above)) if (!this.#entries.has(above)) return false;
    return true;
  }

  // What is asked of it ----------------------------------------------------------------------------------------------

  /** Resolves when the disk has got to it. Throws the failure that is set. */
  async #delay(changes = true): Promise<void> {
    const { world, clock } = this.#machine;
    const { promise, resolve } = Promise.withResolvers<void>();
    clock.after(world.spread(...this.faults.latency), resolve);
    await promise;
    if (changes) this.#check();
  }

  #check(): void {
    const { failure } = this.faults;
    if (failure !== undefined) throw Object.assign(new Error(`${failure}: simulated`), { code: failure, errno: -1 });
  }

  #change(directory: string, change: (entries: Entries) => void): void {
    change(this.#entries);
    const pending = this.#pending.get(directory);
    if (pending === undefined) this.#pending.set(directory, [change]);
    else pending.push(change);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#delay();
    const missing: string[] = [];
    for (let at = path; at !== '/' && !this.#entries.has(at); at = dirname(at)) missing.unshift(at);
    for (const one of missing) {
      this.#change(dirname(one), (entries) => entries.set(one, undefined));
      this.#sync(dirname(one));
    }
  }

  /** It never fills by itself. */
  space(): Promise<DiskSpace> {
    return Promise.resolve({ freeBytes: this.faults.full ? 0 : CAPACITY_BYTES - this.bytes, totalBytes: CAPACITY_BYTES });
  }

  list(path: string): string[] {
    return [...this.#entries.keys()].filter((one) => dirname(one) === path).map((one) => one.slice(path.length + 1));
  }

  exists(path: string): boolean {
    return this.#entries.has(path);
  }

  readFile(path: string): Buffer | undefined {
    const content = this.#entries.get(path);
    return content instanceof FileContent ? Buffer.from(content.current) : undefined;
  }

  async openFile(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#delay(mode === 'create');
    let content = this.#entries.get(path);
    if (mode === 'create') {
      if (!this.#entries.has(dirname(path))) throw absent(path);
      if (content instanceof FileContent) content.truncate(0);
      else {
        const made = new FileContent();
        content = made;
        this.#change(dirname(path), (entries) => entries.set(path, made));
      }
    }
    if (!(content instanceof FileContent)) throw absent(path);
    return this.#fileOf(content);
  }

  #fileOf(content: FileContent): DiskFile {
    const { life } = this.#machine;
    // A process that died writes nothing any more, whatever is left of it in memory.
    const act = (change: () => void): void => {
      if (this.#machine.life !== life) return;
      this.#check();
      change();
    };
    const write = (buffers: readonly Buffer[], offset: number): void => {
      let at = offset;
      for (const buffer of buffers) {
        const start = at;
        act(() => this.#write(content, buffer, start));
        at += buffer.length;
      }
    };
    const syncHere = (): void => {
      this.#check();
      if (this.faults.lies) this.isTampered = true;
      else if (this.#machine.life === life) content.sync();
    };
    const descriptor = this.#machine.files.opened({ write: (bytes, offset) => write([bytes], offset), sync: syncHere });
    return {
      size: content.current.length,
      descriptor,
      noteSynced: () => undefined,
      readHere: (into, intoOffset, bytes, offset) => content.read(into, intoOffset, bytes, offset),
      read: async (into, intoOffset, bytes, offset) => {
        await this.#delay(false);
        return content.read(into, intoOffset, bytes, offset);
      },
      writeHere: write,
      write: async (buffers, offset) => {
        await this.#delay();
        write(buffers, offset);
      },
      truncate: async (bytes) => {
        await this.#delay();
        act(() => content.truncate(bytes));
      },
      sync: async () => {
        await this.#delay();
        if (this.faults.lies) this.isTampered = true;
        else content.sync();
      },
      syncHere,
      // No time goes by on the caller's thread; what a slow disk would have taken is told nevertheless.
      syncTimed: () => {
        syncHere();
        return this.#machine.world.spread(...this.faults.latency);
      },
      close: () => {
        this.#machine.files.closed(descriptor);
        return Promise.resolve();
      },
    };
  }

  #write(content: FileContent, bytes: Buffer, offset: number): void {
    if (this.faults.misdirected === 0) {
      content.write(bytes, offset);
      return;
    }
    this.faults.misdirected--;
    this.isTampered = true;
    const { world } = this.#machine;
    const files = [...this.#entries].filter(
      (entry): entry is [string, FileContent] => entry[1] instanceof FileContent && entry[1].bytes > 0,
    );
    content.lost(bytes, offset);
    const [path, victim] = files.length === 0 ? ['', content] : world.random.pick(files);
    world.note(
      this.#machine.id,
      `${bytes.length} bytes for offset ${offset} land in ${path} at ${victim.misdirected(bytes, world.random)}`,
    );
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#delay();
    const content = this.#entries.get(from);
    if (content === undefined) throw absent(from);
    this.#change(dirname(to), (entries) => {
      entries.delete(from);
      entries.set(to, content);
    });
    const { onRename } = this;
    this.onRename = undefined;
    onRename?.();
  }

  async removeFile(path: string): Promise<void> {
    await this.#delay();
    if (this.#entries.has(path)) this.#change(dirname(path), (entries) => entries.delete(path));
  }

  async removeTree(path: string): Promise<void> {
    await this.#delay();
    this.#change(dirname(path), (entries) => {
      for (const one of entries.keys()) if (one === path || one.startsWith(`${path}/`)) entries.delete(one);
    });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#delay();
    this.#sync(path);
  }

  #sync(directory: string): void {
    for (const change of this.#pending.get(directory) ?? []) change(this.#durable);
    this.#pending.delete(directory);
  }

  async openStore(directory: string, options: KeyedStoreOptions): Promise<KeyedStore> {
    await this.#delay();
    const path = `${directory}/store`;
    let content = this.#entries.get(path);
    if (!(content instanceof StoreContent)) {
      if (!this.#entries.has(directory)) throw absent(directory);
      const made = new StoreContent();
      content = made;
      this.#change(directory, (entries) => entries.set(path, made));
      // LevelDB syncs the directory as it makes its first files.
      await this.syncDirectory(directory);
    }
    content.open(options.writeBufferBytes);
    return new SimulatedStore(
      content,
      this.#machine,
      () => this.#delay(),
      () => {
        this.isTampered ||= this.faults.lies;
        return this.faults.lies;
      },
    );
  }
}

function absent(path: string): Error {
  return Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
}
