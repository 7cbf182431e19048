import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PageKey } from '@kube-aurora/redo-engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from './system-disk.ts';
import { liveTables } from './live-tables.ts';
import { PageStore } from '../pages/page-store.ts';
import { TableDamageError, tableNames } from './table-check.ts';

let directory: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-live-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

const OPTIONS = { cacheBytes: 1024 * 1024, writeBufferBytes: 256 * 1024 };
const page = (block: number): PageKey => ({ space: 'a space', block });

/** Several rounds over the same pages, so that tables come and go. */
async function filled(): Promise<void> {
  const store = await PageStore.open(systemDisk(), directory, OPTIONS);
  for (let round = 1; round <= 6; round++) {
    for (let at = 0; at < 200; at += 20) {
      const puts = Array.from({ length: 20 }, (_, i) => {
        const bytes = Buffer.alloc(8192);
        for (let byte = 0; byte < bytes.length; byte++) bytes[byte] = (byte * 7919 + (at + i) * 104_729 * round) >>> 5;
        return { page: page(at + i), version: { lsn: round, page: bytes } };
      });
      await store.write(puts);
    }
  }
  await store.setCheckpoint({ lsn: 6n, epoch: 1n }, Buffer.alloc(8), undefined);
  await store.close();
}

const numbers = (): number[] => tableNames(directory).map((name) => Number.parseInt(name, 10));

describe('the tables that a store has', () => {
  it('are those its manifest names; a store that is not there has none', async () => {
    expect(liveTables(directory)).toEqual([]);
    await filled();
    const live = liveTables(directory);
    expect(live.length).toBeGreaterThan(1);
    expect(numbers()).toEqual(expect.arrayContaining(live));
  });

  it('do not include one that was being written when the process died: the store opens, and it is gone', async () => {
    await filled();
    const half = join(directory, `${String(Math.max(...numbers()) + 1000).padStart(6, '0')}.ldb`);
    fs.writeFileSync(half, Buffer.alloc(5000, 7));
    const store = await PageStore.open(systemDisk(), directory, OPTIONS);
    expect((await store.get(page(3)))?.lsn).toBe(6);
    await store.close();
    expect(fs.existsSync(half)).toBe(false);
  });

  it('are those that the scrubber goes by: what a compaction is writing is no damage, however long it takes', async () => {
    await filled();
    const store = await PageStore.open(systemDisk(), directory, OPTIONS);
    const last = Math.max(...numbers());
    fs.writeFileSync(join(directory, `${String(last + 1000).padStart(6, '0')}.ldb`), Buffer.alloc(5000, 7));
    for (let pass = 0; pass < 6; pass++) expect(await store.scrubFiles(1e9)).toBeGreaterThanOrEqual(0);
    const path = join(directory, `${String(liveTables(directory)[0]).padStart(6, '0')}.ldb`);
    fs.writeFileSync(path, fs.readFileSync(path).subarray(0, 1000));
    await expect(
      (async () => {
        for (let pass = 0; pass < 6; pass++) await store.scrubFiles(1e9);
      })(),
    ).rejects.toThrow(/no footer/);
    await store.close();
  });

  it('are checked: damage in one is found', async () => {
    await filled();
    const [number] = liveTables(directory);
    const path = join(directory, `${String(number).padStart(6, '0')}.ldb`);
    const bytes = fs.readFileSync(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    fs.writeFileSync(path, bytes);
    await expect(PageStore.open(systemDisk(), directory, OPTIONS)).rejects.toThrow(TableDamageError);
  });

  it('are read up to where a manifest is torn; a flipped bit before that is damage', async () => {
    await filled();
    const live = liveTables(directory);
    const manifest = join(directory, fs.readFileSync(join(directory, 'CURRENT'), 'latin1').trim());
    const bytes = fs.readFileSync(manifest);
    fs.writeFileSync(manifest, Buffer.concat([bytes, Buffer.from([1, 2, 3, 4, 200, 0, 1, 9])]));
    expect(liveTables(directory)).toEqual(live);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    fs.writeFileSync(manifest, bytes);
    expect(() => liveTables(directory)).toThrow(TableDamageError);
  });
});
