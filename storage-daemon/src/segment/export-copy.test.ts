import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PageKey } from '@kube-aurora/redo-engine';
import { systemDisk } from '../disk/system-disk.ts';
import { PageStore } from '../pages/page-store.ts';
import { pageOfKey, pageStoreKey } from '../pages/store-key.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import { damageStoredValue } from '../testing/damage-stored-value.ts';
import { filledPage } from '../testing/synthetic-records.ts';
import { testForms } from '../testing/test-keys.ts';
import { exportCopy } from './export-copy.ts';

const PAGES = 100;
const OPTIONS = { cacheBytes: 1024 * 1024, writeBufferBytes: 1024 * 1024, flushPages: 32, form: testForms().pages };
const pageAt = (block: number): PageKey => ({ space: 'a space', block });
const CHECKPOINT = { lsn: 5000n, epoch: 2n };
let directory: string;
let store: PageStore;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'export-copy-'));
  store = await PageStore.open(systemDisk(), directory, OPTIONS);
  await store.write(
    Array.from({ length: PAGES }, (_, block) => ({ page: pageAt(block), version: { lsn: 4000n, page: filledPage(block) } })),
  );
  await store.setCheckpoint(CHECKPOINT, Buffer.from('state'), Buffer.from('removals'));
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('exportCopy', () => {
  it('gives all that was stored when reading began, whatever is written meanwhile; another store takes it as it is', async () => {
    const other = mkdtempSync(join(tmpdir(), 'export-copy-'));
    const taken = await PageStore.open(systemDisk(), other, OPTIONS);
    let stretches = 0;
    for await (const entries of exportCopy(store, () => Promise.reject(new Error('nothing is damaged')))) {
      stretches++;
      await taken.putRaw(entries);
      await store.write([{ page: pageAt(PAGES - 1), version: { lsn: 6000n, page: filledPage(200) } }], [pageAt(PAGES - 2)]);
      await store.setCheckpoint({ lsn: 6000n, epoch: 2n }, Buffer.from('later'), undefined);
    }
    expect(stretches).toBeGreaterThan(1);
    expect(await taken.checkpoint()).toEqual(CHECKPOINT);
    expect((await taken.state())?.toString()).toBe('state');
    expect((await taken.removals())?.toString()).toBe('removals');
    for (let block = 0; block < PAGES; block++) expect((await taken.get(pageAt(block)))?.page.equals(filledPage(block))).toBe(true);
    await taken.close();
    rmSync(other, { recursive: true, force: true });
  });

  it('has a damaged page repaired, and throws: what was given is no copy', async () => {
    await store.close();
    await damageStoredValue(directory, pageStoreKey(pageAt(70)));
    store = await PageStore.open(systemDisk(), directory, OPTIONS);
    const repaired: PageKey[] = [];
    const given: number[] = [];
    const read = async (): Promise<void> => {
      const copy = exportCopy(store, (page) => {
        repaired.push(page);
        return Promise.resolve();
      });
      for await (const entries of copy) for (const { key } of entries) given.push(pageOfKey(key)?.block ?? -1);
    };
    await expect(read()).rejects.toBeInstanceOf(StoredValueError);
    expect(repaired).toEqual([pageAt(70)]);
    expect(given).not.toContain(70);
  });
});
