import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Disk } from '../../storage-daemon/src/disk/disk.ts';
import type { KeyedStore } from '../../storage-daemon/src/disk/keyed-store.ts';
import { systemDisk } from '../../storage-daemon/src/disk/system-disk.ts';
import { Machine } from './machine.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { World } from './world.ts';

/**
 * What every Disk does while nothing goes wrong: the machine's own, and the one that stands in for it in a simulation.
 */

interface Tried {
  readonly disk: Disk;
  /** A directory that is not there yet. */
  readonly root: string;
  /** Waits for what the disk is asked, in whatever time it lives in. */
  readonly done: <T>(asked: Promise<T>) => Promise<T>;
  readonly dispose: () => void;
}

function system(): Tried {
  const directory = fs.mkdtempSync(join(tmpdir(), 'aurora-disk-'));
  return {
    disk: systemDisk(),
    root: join(directory, 'a', 'b'),
    done: (asked) => asked,
    dispose: () => fs.rmSync(directory, { recursive: true, force: true }),
  };
}

function simulated(): Tried {
  const world = new World(1);
  const machine = new Machine(world, 'd0', 'zone-a', false);
  machine.start();
  const done = async <T>(asked: Promise<T>): Promise<T> => {
    let isDone = false;
    const settled = asked.finally(() => {
      isDone = true;
    });
    settled.catch(() => undefined);
    await world.run(
      world.now + 60_000,
      () => undefined,
      () => isDone,
    );
    return settled;
  };
  return { disk: new SimulatedDisk(machine), root: '/a/b', done, dispose: () => undefined };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const bytes = (...values: number[]): Buffer => Buffer.from(values);
const put = (key: Buffer, value: Buffer): { type: 'put'; key: Buffer; value: Buffer } => ({ type: 'put', key, value });

describe.each([
  ['the machine’s own', system],
  ['a simulated one', simulated],
])('%s', (_which, make) => {
  let tried: Tried;

  beforeEach(async () => {
    tried = make();
    await tried.done(tried.disk.makeDirectory(tried.root));
  });
  afterEach(() => tried.dispose());

  const path = (name: string): string => join(tried.root, name);

  it('makes directories once, with those above them', async () => {
    const { disk, root, done } = tried;
    expect(disk.exists(root)).toBe(true);
    await done(disk.makeDirectory(root));
    expect(disk.list(root)).toEqual([]);
    expect(disk.list(path('absent'))).toEqual([]);
    const { freeBytes, totalBytes } = await done(disk.space(root));
    expect(freeBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
  });

  it('keeps what is written where it is written, and gives zeros between', async () => {
    const { disk, done } = tried;
    const file = await done(disk.openFile(path('file'), 'create'));
    await done(file.truncate(10));
    file.writeHere([bytes(1, 2), bytes(3)], 2);
    await done(file.write([bytes(9), bytes(8, 7)], 8));
    await done(file.sync());
    file.syncHere();
    expect(file.syncTimed()).toBeLessThan(60_000);
    const read = Buffer.alloc(20, 255);
    expect(file.readHere(read, 1, 15, 0)).toBe(11);
    expect([...read.subarray(0, 13)]).toEqual([255, 0, 0, 1, 2, 3, 0, 0, 0, 9, 8, 7, 255]);
    const other = Buffer.alloc(20, 255);
    expect(await done(file.read(other, 1, 15, 0))).toBe(11);
    expect(other).toEqual(read);
    await done(file.truncate(3));
    await done(file.truncate(5));
    expect(file.readHere(read, 0, 20, 0)).toBe(5);
    expect([...read.subarray(0, 5)]).toEqual([0, 0, 1, 0, 0]);
    for (const offset of [5, 50]) {
      expect(file.readHere(read, 0, 5, offset)).toBe(0);
      expect(await done(file.read(read, 0, 5, offset))).toBe(0);
    }
    await done(file.close());
    expect((await done(disk.openFile(path('file'), 'existing'))).size).toBe(5);
    expect(disk.readFile(path('file'))).toEqual(bytes(0, 0, 1, 0, 0));
    // Made anew it is empty.
    expect((await done(disk.openFile(path('file'), 'create'))).size).toBe(0);
  });

  it('says ENOENT of what is not there', async () => {
    const { disk, done } = tried;
    await expect(done(disk.openFile(path('absent'), 'existing'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(done(disk.openFile(path('absent/file'), 'create'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(done(disk.rename(path('absent'), path('other')))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(disk.readFile(path('absent'))).toBeUndefined();
    expect(disk.exists(path('absent'))).toBe(false);
    await done(disk.removeFile(path('absent')));
    await done(disk.removeTree(path('absent')));
  });

  it('renames over what was there, and removes', async () => {
    const { disk, root, done } = tried;
    for (const [name, value] of [
      ['old', 1],
      ['new', 2],
    ] as const) {
      const file = await done(disk.openFile(path(name), 'create'));
      file.writeHere([bytes(value)], 0);
      await done(file.close());
    }
    await done(disk.rename(path('new'), path('old')));
    await done(disk.syncDirectory(root));
    expect(disk.list(root)).toEqual(['old']);
    expect(disk.readFile(path('old'))).toEqual(bytes(2));
    await done(disk.makeDirectory(path('tree/deep')));
    await done(disk.removeTree(path('tree')));
    await done(disk.removeFile(path('old')));
    expect(disk.list(root)).toEqual([]);
  });

  describe('a store on it', () => {
    const open = (): Promise<KeyedStore> =>
      tried.done(tried.disk.openStore(path('store'), { cacheBytes: 65_536, writeBufferBytes: 65_536 }));

    beforeEach(() => tried.done(tried.disk.makeDirectory(path('store'))));

    it('keeps batches, in the order of the keys’ bytes, over being opened again', async () => {
      const { done } = tried;
      let store = await open();
      await done(store.batch([put(bytes(200), bytes(1)), put(bytes(3), bytes(2)), put(bytes(3, 0), bytes(3)), put(bytes(4), bytes(4))]));
      await done(store.batch([{ type: 'del', key: bytes(4) }, put(bytes(3), bytes(5))]));
      await done(store.close());
      store = await open();
      expect(await done(store.get(bytes(3)))).toEqual(bytes(5));
      expect(await done(store.get(bytes(4)))).toBeUndefined();
      expect(await done(store.getMany([bytes(200), bytes(4), bytes(3, 0)]))).toEqual([bytes(1), undefined, bytes(3)]);
      expect(await done(all(store.keys(bytes(3), bytes(200))))).toEqual([bytes(3), bytes(3, 0)]);
      expect((await done(all(store.entries()))).map(({ key }) => key)).toEqual([bytes(3), bytes(3, 0), bytes(200)]);
      expect(await done(all(store.entries(bytes(3))))).toEqual([
        { key: bytes(3, 0), value: bytes(3) },
        { key: bytes(200), value: bytes(1) },
      ]);
      expect(await done(store.approximateBytes())).toBeGreaterThanOrEqual(0);
      await done(store.compact());
      expect(await done(store.get(bytes(3)))).toEqual(bytes(5));
      await done(store.close());
    });

    it('gives entries as of the call, whatever is written meanwhile', async () => {
      const { done } = tried;
      const store = await open();
      await done(store.batch([put(bytes(1), bytes(1)), put(bytes(2), bytes(2))]));
      const entries = store.entries()[Symbol.asyncIterator]();
      expect((await done(entries.next())).value).toEqual({ key: bytes(1), value: bytes(1) });
      await done(store.batch([put(bytes(2), bytes(9)), put(bytes(3), bytes(3))]));
      expect((await done(entries.next())).value).toEqual({ key: bytes(2), value: bytes(2) });
      expect((await done(entries.next())).done).toBe(true);
      await done(store.close());
    });

    it('gives values that are the caller’s own', async () => {
      const { done } = tried;
      const store = await open();
      const value = bytes(1, 2, 3);
      await done(store.batch([put(bytes(1), value)]));
      value[0] = 9;
      const got = await done(store.get(bytes(1)));
      expect(got).toEqual(bytes(1, 2, 3));
      if (got !== undefined) got[1] = 9;
      expect(await done(store.get(bytes(1)))).toEqual(bytes(1, 2, 3));
      await done(store.close());
    });
  });
});
