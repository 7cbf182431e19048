import { dirname } from 'node:path';
import type { Disk, DiskFile, DiskSpace, OpenMode } from '../../storage-daemon/src/disk/disk.ts';
import type { KeyedStore, KeyedStoreOptions } from '../../storage-daemon/src/disk/keyed-store.ts';
import type { SeededRandom } from '../faults/random.ts';
import type { Machine } from './machine.ts';
import { SimulatedStore, StoreContent } from './simulated-store.ts';

/**
 * A disk that keeps no more than it must. What was not synced may survive a crash or not, sector by sector; entries of directories
 * survive up to some point in the order in which they were made; and the disk can be told to fail, to fill up, to be slow, to lie
 * about syncs and to damage what it holds.
 */

const SECTOR_BYTES = 512;

export interface DiskFaults {
  /** Every write, sync, truncate, create and rename fails with this. */
  failure: 'EIO' | 'ENOSPC' | 'EROFS' | undefined;
  /** Milliseconds that an operation takes, from and to. */
  latency: readonly [number, number];
  /** Says that it has synced, and has not. */
  lies: boolean;
}

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly bytes: number };

class FileContent {
  durable: Buffer = Buffer.alloc(0);
  current: Buffer = Buffer.alloc(0);
  changes: Change[] = [];

  apply(change: Change): void {
    this.changes.push(change);
    this.current = changed(this.current, change);
  }

  sync(): void {
    this.durable = Buffer.from(this.current);
    this.changes = [];
  }

  processDied(): void {
    this.sync();
  }

  copy(): FileContent {
    const copy = new FileContent();
    copy.durable = Buffer.from(this.durable);
    copy.current = Buffer.from(this.durable);
    return copy;
  }

  get bytes(): number {
    return this.current.length;
  }

  flipBit(random: SeededRandom): string {
    const at = random.integer(0, this.current.length - 1);
    this.current[at] = (this.current[at] ?? 0) ^ (1 << random.integer(0, 7));
    if (at < this.durable.length) this.durable[at] = this.current[at] ?? 0;
    return `byte ${at}`;
  }

  /** What of the unsynced changes is found after a crash: each sector of each write may have got there or not. */
  crash(survives: () => boolean, _random: SeededRandom): void {
    let content: Buffer = Buffer.from(this.durable);
    for (const change of this.changes) {
      if (change.kind === 'truncate') {
        if (survives()) content = changed(content, change);
        continue;
      }
      for (let at = 0; at < change.bytes.length;) {
        const end = Math.min(change.bytes.length, at + SECTOR_BYTES - ((change.offset + at) % SECTOR_BYTES));
        const piece: Change = { kind: 'write', offset: change.offset + at, bytes: change.bytes.subarray(at, end) };
        if (survives()) content = changed(content, piece);
        at = end;
      }
    }
    this.durable = content;
    this.current = Buffer.from(content);
    this.changes = [];
  }
}

function changed(content: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') {
    const next = Buffer.alloc(change.bytes);
    content.copy(next, 0, 0, Math.min(content.length, change.bytes));
    return next;
  }
  const end = change.offset + change.bytes.length;
  const next = end > content.length ? Buffer.concat([content, Buffer.alloc(end - content.length)]) : content;
  change.bytes.copy(next, change.offset);
  return next;
}

const CAPACITY_BYTES = 2 ** 40;

/** A file's content, a store, or undefined for a directory. */
type Content = FileContent | StoreContent | undefined;
type Entries = Map<string, Content>;

export class SimulatedDisk implements Disk {
  readonly faults: DiskFaults = { failure: undefined, latency: [0.02, 0.4], lies: false };
  readonly #machine: Machine;
  #entries: Entries = new Map();
  #durable: Entries = new Map();
  /** Changes of directories that are not durable, by directory, in order. */
  readonly #pending = new Map<string, ((entries: Entries) => void)[]>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  // What happens to it -----------------------------------------------------------------------------------------------

  /** The power fails: of what was not made durable any part may be gone. */
  crash(): void {
    const { world } = this.#machine;
    const mode = world.random.integer(0, 3);
    const survives = (): boolean => (mode === 0 ? false : mode === 1 ? true : world.chance(0.5));
    for (const changes of this.#pending.values()) {
      const kept = mode === 0 ? 0 : mode === 1 ? changes.length : world.random.integer(0, changes.length);
      for (const change of changes.slice(0, kept)) change(this.#durable);
    }
    this.#pending.clear();
    this.#entries = new Map(this.#durable);
    for (const [path, content] of this.#entries) {
      if (!this.#isReachable(path)) this.#entries.delete(path);
      else content?.crash(survives, world.random);
    }
    this.#durable = new Map(this.#entries);
  }

  /** Only the process dies: what it wrote is in the system's memory, and gets to the disk. */
  processDied(): void {
    for (const content of this.#entries.values()) content?.processDied();
  }

  /** A new, empty disk in its place. */
  wipe(): void {
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
    this.#pending.clear();
    this.#durable = new Map([...snapshot].map(([path, content]) => [path, content?.copy()]));
    this.#entries = new Map(this.#durable);
  }

  /** Flips one bit somewhere in the files whose path `matches`, or in a stored value. Says where; undefined when there is nothing. */
  flipBit(matches: (path: string) => boolean): string | undefined {
    const { random } = this.#machine.world;
    const targets = [...this.#entries].filter(([path, content]) => content !== undefined && content.bytes > 0 && matches(path));
    if (targets.length === 0) return undefined;
    const [path, content] = random.pick(targets);
    return content === undefined ? undefined : `${path}: ${content.flipBit(random)}`;
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
    await clock.sleep(world.spread(...this.faults.latency));
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
    return Promise.resolve({ freeBytes: CAPACITY_BYTES - this.bytes, totalBytes: CAPACITY_BYTES });
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
      if (content instanceof FileContent) content.apply({ kind: 'truncate', bytes: 0 });
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
    const act = (change: Change): void => {
      if (this.#machine.life !== life) return;
      this.#check();
      content.apply(change);
    };
    const write = (buffers: readonly Buffer[], offset: number): void => {
      let at = offset;
      for (const buffer of buffers) {
        act({ kind: 'write', offset: at, bytes: Buffer.from(buffer) });
        at += buffer.length;
      }
    };
    return {
      size: content.current.length,
      readHere: (into, intoOffset, bytes, offset) =>
        content.current.copy(into, intoOffset, offset, Math.min(offset + bytes, content.current.length)),
      writeHere: write,
      write: async (buffers, offset) => {
        await this.#delay();
        write(buffers, offset);
      },
      truncate: async (bytes) => {
        await this.#delay();
        act({ kind: 'truncate', bytes });
      },
      sync: async () => {
        await this.#delay();
        if (!this.faults.lies) content.sync();
      },
      syncHere: () => {
        this.#check();
        if (this.#machine.life === life && !this.faults.lies) content.sync();
      },
      close: () => Promise.resolve(),
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#delay();
    const content = this.#entries.get(from);
    if (content === undefined) throw absent(from);
    this.#change(dirname(to), (entries) => {
      entries.delete(from);
      entries.set(to, content);
    });
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
    void options;
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
    return new SimulatedStore(
      content,
      this.#machine,
      () => this.#delay(),
      () => this.faults.lies,
    );
  }
}

function absent(path: string): Error {
  return Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
}
