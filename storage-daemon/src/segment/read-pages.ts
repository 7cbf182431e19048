import type { PageId } from '@kube-aurora/redo';
import type { GetPagesRequest, GetPagesResponse } from '@kube-aurora/rpc';
import type { StoredPages } from '../pages/page-store.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import type { SegmentStorage } from './segment-storage.ts';
import { TooOldError } from '../pages/page-builder.ts';

/**
 * Neighbouring pages as of one LSN. Most have no redo past the checkpoint: their stored versions are fetched together and copied
 * once, into the answer. The rest goes page by page.
 */

const PAGE_BYTES = 8192;

/** Throws what `SegmentContent.pageAt` throws. */
export async function readPages(storage: SegmentStorage, request: GetPagesRequest): Promise<GetPagesResponse> {
  const { spcOid, dbOid, relNumber, fork, block, count } = request;
  const lsn = Number(request.lsn);
  const present = Buffer.alloc(count);
  const pages = Buffer.allocUnsafe(count * PAGE_BYTES);
  const idOf = (at: number): PageId => ({ spcOid, dbOid, relNumber, fork, block: block + at });
  const put = (at: number, page: Buffer | undefined): void => {
    if (page === undefined) pages.fill(0, at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
    else {
      present[at] = 1;
      pages.set(page, at * PAGE_BYTES);
    }
  };
  const readAlone = async (at: number): Promise<void> => put(at, (await storage.pageAt(idOf(at), lsn)).page);

  const alone: number[] = [];
  const stored: number[] = [];
  const mayBeStored = storage.tombstones.hasNone(idOf(0));
  for (let at = 0; at < count; at++) {
    if (mayBeStored && storage.index.refsOf(idOf(at)) === undefined) stored.push(at);
    else alone.push(at);
  }
  const readStored = async (): Promise<void> => {
    const versions = await versionsOf(storage, stored.map(idOf));
    const damaged: number[] = [];
    stored.forEach((at, index) => {
      const version = versions?.[index];
      if (versions === undefined || version instanceof StoredValueError) damaged.push(at);
      else if (version !== undefined && version.lsn > lsn) throw new TooOldError(idOf(at), lsn, version.lsn);
      else if (version === undefined && lsn < storage.keptFrom) throw new TooOldError(idOf(at), lsn, storage.keptFrom);
      else put(at, version?.page);
    });
    await Promise.all(damaged.map(readAlone));
  };
  const reads = alone.map(readAlone);
  if (stored.length > 0) reads.push(readStored());
  await Promise.all(reads);
  return { present, pages, lsn: request.lsn };
}

/** Undefined when the store cannot say which of them is damaged. */
async function versionsOf(storage: SegmentStorage, ids: readonly PageId[]): Promise<StoredPages | undefined> {
  try {
    return await storage.store.getMany(ids);
  } catch (error) {
    if (error instanceof StoredValueError) return undefined;
    throw error;
  }
}
