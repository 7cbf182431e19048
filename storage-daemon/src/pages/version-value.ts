import type { Place } from './place-codec.ts';
import { roomFor, SEAL_BYTES } from './stored-value.ts';

/**
 * A page's version as one value: as segments give it to one another, and as it stood in the index before 0.2.
 *
 *   0 u64 LSN (big-endian)   8 the page   then the CRC32C of the page's key and all before (u32, little-endian)
 */
const PAGE_AT = 8;

export interface VersionValue extends Omit<Place, 'slot'> {
  readonly page: Buffer;
}

export function versionValue({ lsn, crc, page }: VersionValue): Buffer {
  const value = roomFor(PAGE_AT + page.length);
  value.writeBigUInt64BE(lsn, 0);
  page.copy(value, PAGE_AT);
  value.writeUInt32LE(crc, value.length - SEAL_BYTES);
  return value;
}

/** The parts of a value, unchecked; undefined when it is too short to have a page. The page is a view. */
export function partsOfVersion(value: Buffer): VersionValue | undefined {
  if (value.length <= PAGE_AT + SEAL_BYTES) return undefined;
  return {
    lsn: value.readBigUInt64BE(0),
    crc: value.readUInt32LE(value.length - SEAL_BYTES),
    page: value.subarray(PAGE_AT, value.length - SEAL_BYTES),
  };
}
