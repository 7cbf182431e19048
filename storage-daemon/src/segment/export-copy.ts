import type { PageKey } from '@kube-aurora/redo-engine';
import type { StoreEntry } from '../disk/keyed-store.ts';
import type { PageStore } from '../pages/page-store.ts';
import { pageOfKey } from '../pages/store-key.ts';
import { openValue, StoredValueError } from '../pages/stored-value.ts';

/**
 * Everything that a segment has stored, for whoever keeps it elsewhere: a peer that is empty or too far behind, a
 * backup.
 *
 *   - Gives the keyed store's entries as they are stored, each with its CRC, in key order, in stretches of about
 *     STRETCH_BYTES: all as of the moment at which reading begins, whatever is written meanwhile. `PageStore.putRaw`
 *     takes them.
 *   - Among them is the checkpoint: pages have at least all redo up to it, and with the redo after it (`redoFrom`) they
 *     are the volume's. That redo must be held by Retention from before reading begins until it was fetched.
 *   - Each value's CRC is checked before it is given. Throws StoredValueError at the first that fails, after having had
 *     the page repaired: what was given is incomplete then, and reading begins anew.
 */
const STRETCH_BYTES = 256 * 1024;

export async function* exportCopy(
  store: PageStore,
  repairPage: (page: PageKey) => Promise<void>,
): AsyncGenerator<StoreEntry[], void, undefined> {
  let entries: StoreEntry[] = [];
  let bytes = 0;
  for await (const { key, value } of store.entries()) {
    try {
      openValue(key, value);
    } catch (error) {
      const page = pageOfKey(key);
      if (error instanceof StoredValueError && page !== undefined) await repairPage(page);
      throw error;
    }
    entries.push({ key, value });
    bytes += key.length + value.length;
    if (bytes < STRETCH_BYTES) continue;
    yield entries;
    entries = [];
    bytes = 0;
  }
  if (entries.length > 0) yield entries;
}
