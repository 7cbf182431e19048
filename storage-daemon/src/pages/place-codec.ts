import { SEAL_BYTES as PAGE_SEAL_BYTES } from '@kube-aurora/at-rest';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import { openValue, roomFor, sealInPlace, sealValue, SEAL_BYTES, StoredValueError } from './stored-value.ts';

/**
 * What the index of a page store holds, as bytes: where each page is, and a digest of all of that. Numbers big-endian;
 * each value is sealed (stored-value.ts).
 *
 *   place     0 u64 LSN of the version   8 u32 slot   12 u32 its CRC32C: of the key, the LSN (u64) and what is in the slot
 *             16 where pages are sealed, the page's seal (packages/at-rest)
 *   digest    0 u8 format, 2   1 u8 1 while an older format is converted, else 0   2 u32 bytes of a page, 0 for none
 *             6 u64 entries but the digest itself   14 u32 sum of what `hashOf` gives for each, modulo 2^32
 *
 * LevelDB does not check its own keys and indexes as it reads them: damage makes an entry vanish, or an older one show.
 * No checksum of an entry can tell. The digest does: it changes with every entry, in the batch that changes the entry.
 */
const PLACE_BYTES = 16;
/** Of the longest place, with its CRC. */
export const PLACE_VALUE_BYTES_MAX = PLACE_BYTES + PAGE_SEAL_BYTES + SEAL_BYTES;
const DIGEST_BYTES = 18;
const FORMAT = 2;

/** Where a version of a page is. */
export interface Place {
  readonly lsn: bigint;
  readonly slot: number;
  readonly crc: number;
  /** Of a page that is sealed. */
  readonly seal?: Buffer | undefined;
}

export interface Digest {
  readonly isConverting: boolean;
  readonly pageBytes: number;
  readonly count: number;
  readonly sum: number;
}

export const EMPTY_DIGEST: Digest = { isConverting: false, pageBytes: 0, count: 0, sum: 0 };

export function versionCrc(key: Buffer, lsn: bigint, page: Buffer): number {
  const number = Buffer.allocUnsafe(8);
  number.writeBigUInt64BE(lsn, 0);
  return crc32c(key, number, page) >>> 0;
}

export function sealPlace(key: Buffer, { lsn, slot, crc, seal }: Place): Buffer {
  const sealed = roomFor(PLACE_BYTES + (seal?.length ?? 0));
  sealed.writeBigUInt64BE(lsn, 0);
  sealed.writeUInt32BE(slot, 8);
  sealed.writeUInt32BE(crc, 12);
  seal?.copy(sealed, PLACE_BYTES);
  return sealInPlace(key, sealed);
}

/** Throws StoredValueError. */
export function openPlace(key: Buffer, sealed: Buffer): Place {
  const value = openValue(key, sealed);
  const isSealed = value.length === PLACE_BYTES + PAGE_SEAL_BYTES;
  if (value.length !== PLACE_BYTES && !isSealed) throw new StoredValueError(key, `${value.length} bytes are no place of a page`);
  const place = { lsn: value.readBigUInt64BE(0), slot: value.readUInt32BE(8), crc: value.readUInt32BE(12) };
  return isSealed ? { ...place, seal: value.subarray(PLACE_BYTES) } : place;
}

/**
 * What an entry adds to the digest: its key and its seal, so that a value which is damaged, and will be replaced, still
 * counts as what it was.
 */
export function hashOf(key: Buffer, sealed: Buffer): number {
  const seal = sealed.length < SEAL_BYTES ? 0 : sealed.readUInt32LE(sealed.length - SEAL_BYTES);
  return (seal + (crc32c(key) >>> 0)) >>> 0;
}

export function sealDigest(key: Buffer, digest: Digest): Buffer {
  const value = Buffer.alloc(DIGEST_BYTES);
  value.writeUInt8(FORMAT, 0);
  value.writeUInt8(digest.isConverting ? 1 : 0, 1);
  value.writeUInt32BE(digest.pageBytes, 2);
  value.writeBigUInt64BE(BigInt(digest.count), 6);
  value.writeUInt32BE(digest.sum, 14);
  return sealValue(key, value);
}

/** Throws StoredValueError, for a format of a later release too. */
export function openDigest(key: Buffer, sealed: Buffer): Digest {
  const value = openValue(key, sealed);
  const format = value[0] ?? 0;
  if (format !== FORMAT) throw new StoredValueError(key, `pages are stored in format ${format}; this release knows ${FORMAT}`);
  if (value.length !== DIGEST_BYTES) throw new StoredValueError(key, `${value.length} bytes are no digest`);
  return {
    isConverting: value[1] === 1,
    pageBytes: value.readUInt32BE(2),
    count: Number(value.readBigUInt64BE(6)),
    sum: value.readUInt32BE(14),
  };
}

export function isSamePlace(a: Place, b: Place | undefined): boolean {
  return b !== undefined && a.slot === b.slot && a.lsn === b.lsn && a.crc === b.crc;
}
