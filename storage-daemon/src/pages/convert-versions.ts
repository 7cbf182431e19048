import type { BatchOperation } from '../disk/keyed-store.ts';
import { sealPlace } from './place-codec.ts';
import { isOlder, type PlaceIndex } from './place-index.ts';
import type { SlotFile } from './slot-file.ts';
import { partsOfVersion, type VersionValue } from './version-value.ts';

/**
 * Before 0.2 a page's version stood in the index itself (version-value.ts). Each is written into a slot, some at a
 * time; a crash in between leaves the rest to the next open. Checksums stay as they were, so that what is damaged
 * still is.
 */
const STRETCH = 64;

export async function convertVersions(index: PlaceIndex, slots: SlotFile): Promise<void> {
  let found: { readonly key: Buffer; readonly version: VersionValue }[] = [];
  const move = async (isConverting: boolean): Promise<void> => {
    const taken = await slots.write(found.map(({ version }) => version.page));
    await slots.sync();
    const puts = found.map(({ key, version: { lsn, crc } }, at): BatchOperation => {
      return { type: 'put', key, value: sealPlace(key, { lsn, slot: taken[at] ?? 0, crc }) };
    });
    await index.write(puts, slots.pageBytes, isConverting);
    found = [];
  };
  for await (const { key, value } of index.entries()) {
    const version = isOlder(key, value) ? partsOfVersion(value) : undefined;
    if (version === undefined) continue;
    found.push({ key, version });
    if (found.length >= STRETCH) await move(true);
  }
  await move(false);
  await index.compact();
}
