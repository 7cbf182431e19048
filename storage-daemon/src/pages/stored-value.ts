import { crc32c } from '@kube-aurora/pg-format/crc32c';

/**
 * How values stand in the page store: the bytes, then the CRC32C of key and bytes (u32, little-endian). With the key in
 * it, a value that turns up under another key fails too.
 */
export const SEAL_BYTES = 4;

/** A stored value that is not what was written. */
export class StoredValueError extends Error {
  readonly key: Buffer;
  constructor(key: Buffer, message: string) {
    super(`stored value of key ${key.toString('hex')}: ${message}`);
    this.name = 'StoredValueError';
    this.key = key;
  }
}

/**
 * What is stored of a page is damaged, and no peer can replace it at present: they are away, behind, or past the LSN
 * asked for.
 */
export class NoSoundCopyError extends Error {
  constructor() {
    super('a stored page is damaged and no peer can replace it now');
    this.name = 'NoSoundCopyError';
  }
}

export function sealValue(key: Buffer, value: Buffer): Buffer {
  const sealed = roomFor(value.length);
  value.copy(sealed);
  return sealInPlace(key, sealed);
}

/** Room for a value of `bytes` bytes and its CRC. */
export function roomFor(bytes: number): Buffer {
  return Buffer.allocUnsafe(bytes + SEAL_BYTES);
}

/** Seals what was written into `roomFor`. */
export function sealInPlace(key: Buffer, sealed: Buffer): Buffer {
  const end = sealed.length - SEAL_BYTES;
  sealed.writeUInt32LE(crc32c(key, sealed.subarray(0, end)) >>> 0, end);
  return sealed;
}

/** The bytes, checked; a view. Throws StoredValueError. */
export function openValue(key: Buffer, sealed: Buffer): Buffer {
  if (sealed.length < SEAL_BYTES) throw new StoredValueError(key, `${sealed.length} bytes are too few`);
  const value = sealed.subarray(0, sealed.length - SEAL_BYTES);
  if (crc32c(key, value) >>> 0 !== sealed.readUInt32LE(value.length)) throw new StoredValueError(key, 'fails its CRC');
  return value;
}
