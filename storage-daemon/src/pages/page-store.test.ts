import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pageKeyOf } from '@kube-aurora/redo';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { FaultDisk, type DiskOperation } from '../testing/fault-disk.ts';
import { filledPage } from '../testing/synthetic-records.ts';
import { PageStore } from './page-store.ts';

const PAGE = pageKeyOf({ spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0, block: 3 });

describe('a page store makes what is below durable first', () => {
  let directory: string;
  let store: PageStore;
  let done: DiskOperation['kind'][];

  beforeEach(async () => {
    directory = fs.mkdtempSync(join(tmpdir(), 'aurora-pages-'));
    done = [];
    const disk = new FaultDisk(systemDisk(), ({ kind }) => {
      done.push(kind);
      return undefined;
    });
    store = await PageStore.open(disk, directory, { cacheBytes: 65_536, writeBufferBytes: 65_536 });
    done = [];
  });
  afterEach(async () => {
    await store.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  it('pages, then the checkpoint that says that they are there', async () => {
    await store.write([{ page: PAGE, version: { lsn: 100, page: filledPage(1) } }]);
    await store.setCheckpoint({ lsn: 100n, epoch: 1n }, Buffer.from('state'), Buffer.from('removals'));
    expect(done).toEqual(['batch', 'make durable', 'batch']);
  });

  it('removals, then the note that they are made', async () => {
    await store.write([], [PAGE]);
    await store.removalsDone();
    expect(done).toEqual(['batch', 'make durable', 'batch']);
    expect(await store.removals()).toBeUndefined();
  });
});
