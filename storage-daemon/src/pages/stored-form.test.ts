import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PageKey } from '@kube-aurora/redo-engine';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import type { StoreEntry } from '../disk/keyed-store.ts';
import { systemDisk } from '../disk/system-disk.ts';
import { testForms } from '../testing/test-keys.ts';
import { versionCrc } from './place-codec.ts';
import { PageStore } from './page-store.ts';
import { pageStoreKey } from './store-key.ts';
import { PLAIN_PAGES, type StoredForm } from './stored-form.ts';
import { StoredValueError } from './stored-value.ts';

const SECRET = Buffer.from('a sentence that no disk may show');
const OPTIONS = { cacheBytes: 65_536, writeBufferBytes: 65_536, flushPages: 8 };
const CHECKPOINT = { lsn: 100n, epoch: 1n };
const pageAt = (block: number): PageKey => ({ space: 'a space', block });
const bytesOf = (fill: number): Buffer => Buffer.concat([SECRET, Buffer.alloc(8192 - SECRET.length, fill)]);
const version = (block: number, lsn: number, fill: number) => ({ page: pageAt(block), version: { lsn: BigInt(lsn), page: bytesOf(fill) } });

let directory: string;
let store: PageStore | undefined;
beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'sealed-pages-'));
});
afterEach(async () => {
  await store?.close();
  store = undefined;
  fs.rmSync(directory, { recursive: true, force: true });
});

async function open(form: StoredForm, at = directory): Promise<PageStore> {
  await store?.close();
  store = undefined;
  store = await PageStore.open(systemDisk(), at, { ...OPTIONS, form });
  return store;
}

/** As others take it. */
async function all(of: PageStore): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for await (const entry of of.entries()) entries.push(entry);
  return entries;
}

const everything = (): Buffer =>
  Buffer.concat(
    fs
      .readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => fs.readFileSync(join(entry.parentPath, entry.name))),
  );

it('pages, state and removals come back after a restart, and nothing of them is to be seen', async () => {
  const opened = await open(testForms().pages);
  await opened.write(Array.from({ length: 20 }, (_, block) => version(block, 50, block)));
  await opened.write([version(3, 60, 99)], [pageAt(4)]);
  await opened.setCheckpoint(CHECKPOINT, SECRET, SECRET);
  expect(everything().includes(SECRET)).toBe(false);
  const again = await open(testForms().pages);
  expect(await again.checkpoint()).toEqual(CHECKPOINT);
  expect([await again.state(), await again.removals()]).toEqual([SECRET, SECRET]);
  expect(await again.get(pageAt(3))).toEqual({ lsn: 60n, page: bytesOf(99) });
  expect(await again.get(pageAt(4))).toBeUndefined();
  expect(await again.get(pageAt(19))).toEqual({ lsn: 50n, page: bytesOf(19) });
  expect((await again.scrubValues(undefined, 1 << 20)).damaged).toEqual([]);
});

it('are copied from a sealed store into another, and into one that is not, and back', async () => {
  const opened = await open(testForms().pages);
  await opened.write([version(1, 50, 1), version(2, 51, 2)]);
  await opened.setCheckpoint(CHECKPOINT, SECRET, SECRET);
  let entries = await all(opened);
  for (const [name, form] of [
    ['other', testForms(8).pages],
    ['plain', PLAIN_PAGES],
    ['back', testForms(9).pages],
  ] as const) {
    const taken = await open(form, join(directory, name));
    await taken.putRaw(entries);
    expect([name, await taken.get(pageAt(2)), await taken.state()]).toEqual([name, { lsn: 51n, page: bytesOf(2) }, SECRET]);
    entries = await all(taken);
  }
});

it('a byte that is another is damage, in a copy too; so is a page with the seal of another', async () => {
  const form = testForms().pages;
  const opened = await open(form);
  await opened.write([version(1, 50, 1), version(2, 50, 1)]);
  await opened.setCheckpoint(CHECKPOINT, SECRET, undefined);
  const file = join(directory, 'pages.slots');
  const bytes = fs.readFileSync(file);
  fs.writeFileSync(file, Buffer.concat([bytes.subarray(0, 100), Buffer.from([bytes.readUInt8(100) ^ 1]), bytes.subarray(101)]));
  await expect(opened.get(pageAt(1))).rejects.toThrow(StoredValueError);
  const fresh = testForms(8).pages;
  const entries = await all(opened);
  const taken = await PageStore.open(systemDisk(), join(directory, 'taken'), { ...OPTIONS, form: fresh });
  await expect(taken.putRaw(entries)).rejects.toThrow(StoredValueError);
  await taken.close();

  // With CRCs made right, as somebody may who writes to the disk.
  const [one, two] = [pageStoreKey(pageAt(1)), pageStoreKey(pageAt(2))];
  const [a, b] = [form.pageToDisk(one, 50n, bytesOf(1)), form.pageToDisk(two, 50n, bytesOf(1))];
  const place = { lsn: 50n, slot: 0, crc: versionCrc(one, 50n, b.bytes), seal: b.seal };
  expect(form.pageFromDisk(one, { ...place, crc: a.crc, seal: a.seal }, a.bytes)).toEqual(bytesOf(1));
  expect(() => form.pageFromDisk(one, place, b.bytes)).toThrow(StoredValueError);
  // The page of an older LSN for one of a newer.
  const crc = versionCrc(one, 60n, a.bytes);
  expect(() => form.pageFromDisk(one, { lsn: 60n, slot: 0, crc, seal: a.seal }, a.bytes)).toThrow(StoredValueError);
});

it('of another key, or of none, nothing is taken', async () => {
  const opened = await open(testForms().pages);
  await opened.write([version(1, 50, 1)]);
  await opened.setCheckpoint(CHECKPOINT, SECRET, undefined);
  const other = await open(testForms(8).pages);
  await expect(other.checkpoint()).rejects.toThrow(KeyUnusableError);
  await expect(other.get(pageAt(1))).rejects.toThrow(StoredValueError);
  const plain = await open(PLAIN_PAGES);
  await expect(plain.get(pageAt(1))).rejects.toThrow('is sealed');
});
