import type { BatchOperation, StoreEntry } from '../disk/keyed-store.ts';
import { sealPlace } from './place-codec.ts';
import { isOlder, type PlaceIndex } from './place-index.ts';
import type { SlotFile } from './slot-file.ts';
import { SEAL_BYTES } from './stored-value.ts';

/**
 * Before 0.2 a page's version stood in the index itself: LSN (u64, big-endian), page, CRC32C. Each is written into a
 * slot, some at a time; a crash in between leaves the rest to the next open. Checksums stay as they were, so that what
 * is damaged still is.
 */
const STRETCH = 64;
const VERSION_LSN_BYTES = 8;

export async function convertVersions(index: PlaceIndex, slots: SlotFile): Promise<void> {
  let found: StoreEntry[] = [];
  const move = async (isConverting: boolean): Promise<void> => {
    const taken = await slots.write(found.map(({ value }) => value.subarray(VERSION_LSN_BYTES, value.length - SEAL_BYTES)));
    await slots.sync();
    const puts = found.map(({ key, value }, at): BatchOperation => {
      const lsn = value.readUInt32BE(0) * 2 ** 32 + value.readUInt32BE(4);
      const crc = value.readUInt32LE(value.length - SEAL_BYTES);
      return { type: 'put', key, value: sealPlace(key, { lsn, slot: taken[at] ?? 0, crc }) };
    });
    await index.write(puts, slots.pageBytes, isConverting);
    found = [];
  };
  for await (const entry of index.entries()) {
    if (!isOlder(entry.key, entry.value)) continue;
    found.push(entry);
    if (found.length >= STRETCH) await move(true);
  }
  await move(false);
  await index.compact();
}
