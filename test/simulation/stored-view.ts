import { PAGE_BYTES } from '@kube-aurora/pg-format';
import { versionCrc } from '../../storage-daemon/src/pages/place-codec.ts';
import { placeOf } from '../../storage-daemon/src/pages/place-index.ts';
import { openValue, StoredValueError } from '../../storage-daemon/src/pages/stored-value.ts';
import type { StoreContent } from './simulated-store.ts';

/** What a segment's page store has, read past the segment. */

/**
 * A stored value by its key; undefined when there is none, or when it is damaged, which the daemon finds out by itself.
 */
export function opened(store: StoreContent, key: Buffer): Buffer | undefined {
  const sealed = store.value(key);
  try {
    return sealed === undefined ? undefined : openValue(key, sealed);
  } catch (error) {
    if (error instanceof StoredValueError) return undefined;
    throw error;
  }
}

/** What is stored of a page. */
export function storedVersion(store: StoreContent, slots: Buffer, key: Buffer): { lsn: bigint; bytes: Buffer } | 'damaged' | undefined {
  const sealed = store.value(key);
  if (sealed === undefined) return undefined;
  const place = placeOf(key, sealed);
  if (place instanceof StoredValueError) return 'damaged';
  const bytes = slots.subarray(place.slot * PAGE_BYTES, (place.slot + 1) * PAGE_BYTES);
  return versionCrc(key, place.lsn, bytes) === place.crc ? { lsn: BigInt(place.lsn), bytes } : 'damaged';
}

export function isDamaged(store: StoreContent, key: Buffer): boolean {
  return store.value(key) !== undefined && opened(store, key) === undefined;
}
