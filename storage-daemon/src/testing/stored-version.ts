import { pageKeyOf, type PageId } from '@kube-aurora/redo';
import { pageStoreKey } from '../pages/store-key.ts';
import { openValue } from '../pages/stored-value.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';

/** What a segment has stored under a key (page-store.ts has them all), checked; undefined when that is nothing. */
export async function storedValue(storage: SegmentStorage, wanted: Buffer): Promise<Buffer | undefined> {
  for await (const entries of storage.exportCopy()) {
    for (const { key, value } of entries) if (key.equals(wanted)) return openValue(key, value);
  }
  return undefined;
}

/** What it has stored of a page. */
export async function storedVersion(storage: SegmentStorage, page: PageId): Promise<{ lsn: bigint; page: Buffer } | undefined> {
  const version = await storedValue(storage, pageStoreKey(pageKeyOf(page)));
  return version && { lsn: version.readBigUInt64BE(0), page: version.subarray(8) };
}
