import fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { coreWait } from '@kube-aurora/process';
import type { Disk, DiskFile, OpenMode } from './disk.ts';
import { LevelStore } from './level-store.ts';
import { ReadPace } from './read-pace.ts';

const FLAGS: Record<OpenMode, string> = { create: 'w+', existing: 'r+' };

const open = promisify(fs.open);
const read = promisify(fs.read);
const close = promisify(fs.close);
const ftruncate = promisify(fs.ftruncate);
const fdatasync = promisify(fs.fdatasync);
const writev = promisify(fs.writev);

type OnSynced = (seconds: number) => void;

/** More than this takes long enough to copy that it is left to another thread. */
const READ_HERE_BYTES_MAX = 64 * 1024;

class SystemFile implements DiskFile {
  readonly size: number;
  /** -1 once it is closed: the number may be another file's by then. */
  #descriptor: number;
  readonly #onSynced: OnSynced;
  /** Milliseconds, so far. */
  readonly #waitedForCore: () => number;
  readonly #readPace: ReadPace;

  constructor(descriptor: number, onSynced: OnSynced, waitedForCore: () => number) {
    this.#descriptor = descriptor;
    this.#onSynced = onSynced;
    this.#waitedForCore = waitedForCore;
    this.#readPace = new ReadPace({ now: () => performance.now(), waitedForCore });
    this.size = fs.fstatSync(descriptor).size;
  }

  get descriptor(): number {
    return this.#descriptor;
  }

  readHere(into: Buffer, intoOffset: number, bytes: number, offset: number): number {
    let done = 0;
    while (done < bytes) {
      const got = fs.readSync(this.#descriptor, into, intoOffset + done, bytes - done, offset + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  async read(into: Buffer, intoOffset: number, bytes: number, offset: number): Promise<number> {
    if (bytes <= READ_HERE_BYTES_MAX && this.#readPace.isQuick()) {
      return this.#readPace.timed(() => this.readHere(into, intoOffset, bytes, offset));
    }
    let done = 0;
    while (done < bytes) {
      const { bytesRead } = await read(this.#descriptor, into, intoOffset + done, bytes - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  writeHere(buffers: readonly Buffer[], offset: number): void {
    let at = offset;
    for (let left = buffers; left.length > 0;) {
      const written = fs.writevSync(this.#descriptor, left, at);
      at += written;
      left = pastWritten(left, written);
    }
  }

  async write(buffers: readonly Buffer[], offset: number): Promise<void> {
    let at = offset;
    for (let left = buffers; left.length > 0;) {
      const { bytesWritten } = await writev(this.#descriptor, left, at);
      at += bytesWritten;
      left = pastWritten(left, bytesWritten);
    }
  }

  truncate(bytes: number): Promise<void> {
    return ftruncate(this.#descriptor, bytes);
  }

  async sync(): Promise<void> {
    const startedAt = performance.now();
    await fdatasync(this.#descriptor);
    this.#onSynced((performance.now() - startedAt) / 1000);
  }

  syncHere(): void {
    const startedAt = performance.now();
    fs.fdatasyncSync(this.#descriptor);
    this.#onSynced((performance.now() - startedAt) / 1000);
  }

  syncTimed(): number {
    const waitedMs = this.#waitedForCore();
    const startedAt = performance.now();
    this.syncHere();
    return performance.now() - startedAt - (this.#waitedForCore() - waitedMs);
  }

  noteSynced(ms: number): void {
    this.#onSynced(ms / 1000);
  }

  close(): Promise<void> {
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    return close(descriptor);
  }
}

/** What is left to be written of buffers whose first bytes are. */
function pastWritten(buffers: readonly Buffer[], written: number): readonly Buffer[] {
  let left = written;
  let at = 0;
  for (let buffer = buffers[0]; buffer !== undefined && left >= buffer.length; buffer = buffers[++at]) left -= buffer.length;
  const partial = buffers[at];
  return partial === undefined ? [] : [partial.subarray(left), ...buffers.slice(at + 1)];
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const SYSTEM: Omit<Disk, 'openFile' | 'openStore'> = {
  async makeDirectory(path) {
    const first = await fs.promises.mkdir(path, { recursive: true });
    if (first === undefined) return;
    // Each new one's entry stands in the directory above it.
    for (let at = resolve(path); at.length >= resolve(first).length; at = dirname(at)) await syncDirectory(dirname(at));
  },
  list(path) {
    try {
      return fs.readdirSync(path);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  },
  exists: (path) => fs.existsSync(path),
  readFile(path) {
    try {
      return fs.readFileSync(path);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  },
  rename: (from, to) => fs.promises.rename(from, to),
  removeFile: (path) => fs.promises.rm(path, { force: true }),
  removeTree: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  syncDirectory,
  async space(directory) {
    const { bsize, bavail, blocks } = await fs.promises.statfs(directory);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },
};

/** The machine's own file system, with LevelDB for keyed values. `onSynced` is told of every fdatasync of a file. */
export function systemDisk(onSynced: OnSynced = () => undefined): Disk {
  const waited = coreWait();
  return {
    ...SYSTEM,
    openFile: async (path, mode) => new SystemFile(await open(path, FLAGS[mode]), onSynced, waited),
    openStore: (directory, options) => LevelStore.open(directory, options, waited),
  };
}
