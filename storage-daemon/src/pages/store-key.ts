import { decodeKey, encodeKey, type PageKey } from '@kube-aurora/redo-engine';
import { PAGE_PREFIX } from './place-index.ts';

/** The key of a page in the store. */
export function pageStoreKey(page: PageKey): Buffer {
  const key = encodeKey(page, 1);
  key[0] = PAGE_PREFIX;
  return key;
}

/** The page that a raw key names; undefined for the checkpoint and the state. */
export function pageOfKey(key: Buffer): PageKey | undefined {
  return key[0] === PAGE_PREFIX ? decodeKey(key.subarray(1)) : undefined;
}
