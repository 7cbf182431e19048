import { SEAL_BYTES, SealError, type Sealer } from '@kube-aurora/at-rest';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { versionCrc, type Place } from './place-codec.ts';
import { StoredValueError } from './stored-value.ts';

/** How pages, and the values beside them, stand on disk. */
export interface StoredForm {
  readonly isSealed: boolean;
  /** A page as it is written into a slot, and what its place says of it. */
  pageToDisk(key: Buffer, lsn: bigint, page: Buffer): StoredPage;
  /** The page that its place names. Throws StoredValueError when it is not what was written. */
  pageFromDisk(key: Buffer, place: Place, stored: Buffer): Buffer;
  valueToDisk(key: Buffer, value: Buffer): Buffer;
  /** Throws KeyUnusableError. */
  valueFromDisk(key: Buffer, stored: Buffer): Buffer;
}

export interface StoredPage extends Pick<Place, 'crc' | 'seal'> {
  readonly bytes: Buffer;
}

function checkCrc(key: Buffer, { lsn, slot, crc }: Place, stored: Buffer): void {
  if (versionCrc(key, lsn, stored) !== crc) throw new StoredValueError(key, `slot ${slot} fails its CRC`);
}

export const PLAIN_PAGES: StoredForm = {
  isSealed: false,
  pageToDisk: (key, lsn, page) => ({ bytes: page, crc: versionCrc(key, lsn, page) }),
  pageFromDisk(key, place, stored) {
    if (place.seal !== undefined) throw new StoredValueError(key, `slot ${place.slot} is sealed, and the others are not`);
    checkCrc(key, place, stored);
    return stored;
  },
  valueToDisk: (_key, value) => value,
  valueFromDisk: (_key, stored) => stored,
};

/** What belongs to a page beside its bytes: its key and the LSN of the version. */
function associatedOf(key: Buffer, lsn: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(key.length + 8);
  key.copy(bytes);
  bytes.writeBigUInt64BE(lsn, key.length);
  return bytes;
}

/**
 * Sealed pages are as long as others; their seals are in the index. So a seal and its page are named by one batch of the index, after
 * both are on disk, and no slot that a seal belongs to is written over. CRCs are of what is on disk and say nothing of a page. A value
 * is followed by its seal.
 */
export function sealedPages(sealers: { readonly pages: Sealer; readonly values: Sealer }): StoredForm {
  return {
    isSealed: true,
    pageToDisk(key, lsn, page) {
      const { bytes, seal } = sealers.pages.seal(associatedOf(key, lsn), page);
      return { bytes, seal, crc: versionCrc(key, lsn, bytes) };
    },
    pageFromDisk(key, place, stored) {
      checkCrc(key, place, stored);
      if (place.seal === undefined) throw new StoredValueError(key, `slot ${place.slot} has no seal`);
      try {
        return sealers.pages.open(associatedOf(key, place.lsn), stored, place.seal);
      } catch (error) {
        // In a store that was opened it was changed since; a peer's copy mends that.
        if (error instanceof SealError) throw new StoredValueError(key, `slot ${place.slot} ${error.message}`);
        throw error;
      }
    },
    valueToDisk(key, value) {
      const { bytes, seal } = sealers.values.seal(key, value);
      return Buffer.concat([bytes, seal]);
    },
    valueFromDisk(key, stored) {
      const sealAt = Math.max(0, stored.length - SEAL_BYTES);
      try {
        return sealers.values.open(key, stored.subarray(0, sealAt), stored.subarray(sealAt));
      } catch (error) {
        if (error instanceof SealError) throw new KeyUnusableError(`the page store's value '${key.toString('latin1')}' ${error.message}`);
        throw error;
      }
    },
  };
}
