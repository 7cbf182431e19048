import { SEAL_BYTES, SealError, type Sealer } from '@kube-aurora/at-rest';
import { crc32cRange } from '@kube-aurora/pg-format/crc32c';
import {
  checkRedoBatch,
  completeRedoBatch,
  decodeRedoBatchHeader,
  REDO_BATCH_BYTES_MAX,
  REDO_BATCH_HEADER_BYTES,
  RedoBatchError,
  type RedoBatchHeader,
} from '@kube-aurora/volume';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';

/**
 * How a batch stands on disk. Its header always is as it came, but for length and CRCs, which are of what is there: so the chain can be
 * followed, and damage be found, without opening anything.
 */
export interface BatchForm {
  /** Bytes that a batch takes on disk beside its own, all of them behind it: what is in it stands where it would without them. */
  readonly extraBytes: number;
  toDisk(batch: Buffer): Buffer;
  /** The batch that stands at `offset`, with its header, checked. Throws RedoBatchError, and KeyUnusableError. */
  fromDisk(bytes: Buffer, offset: number): StoredBatch;
}

export interface StoredBatch {
  /** As the batch came: without `extraBytes`. */
  readonly header: RedoBatchHeader;
  /** A view of the bytes, or the reader's own. */
  readonly batch: Buffer;
}

export const PLAIN_BATCHES: BatchForm = {
  extraBytes: 0,
  toDisk: (batch) => batch,
  fromDisk(bytes, offset) {
    const header = checkRedoBatch(bytes, offset);
    return { header, batch: bytes.subarray(offset, offset + header.totalBytes) };
  },
};

/** The header without its CRCs. */
const ASSOCIATED_BYTES = 56;
/** The CRC of the payload as it came (u32, little-endian), and zeros. */
const CRC_BYTES = 8;

/**
 * Sealed batches:
 *
 *   header, 64 bytes, of this length and with the CRC of all that follows as it stands here
 *   sealed: the payload   u32 CRC32C of the payload   4 zeros
 *   40 bytes: the seal (packages/at-rest)
 *
 * It is sealed with its header's fields, so that it stands for its place in the chain, in its epoch, and for no other. The CRC that
 * came with the batch goes back out with it: whoever made the batch vouches for it all the way.
 */
export function sealedBatches(sealer: Sealer): BatchForm {
  const extraBytes = CRC_BYTES + SEAL_BYTES;
  return {
    extraBytes,
    toDisk(batch) {
      const bytes = Buffer.allocUnsafe(batch.length + extraBytes);
      if (bytes.length > REDO_BATCH_BYTES_MAX) throw new RangeError(`a batch of ${batch.length} bytes leaves no room for its seal`);
      batch.copy(bytes, 0, 0, REDO_BATCH_HEADER_BYTES);
      bytes.writeUInt32LE(bytes.length, 4);
      const crc = Buffer.alloc(CRC_BYTES);
      batch.copy(crc, 0, ASSOCIATED_BYTES, ASSOCIATED_BYTES + 4);
      const { bytes: sealed, seal } = sealer.seal(bytes.subarray(0, ASSOCIATED_BYTES), batch.subarray(REDO_BATCH_HEADER_BYTES), crc);
      sealed.copy(bytes, REDO_BATCH_HEADER_BYTES);
      seal.copy(bytes, bytes.length - SEAL_BYTES);
      return completeRedoBatch(bytes, crc32cRange(bytes, REDO_BATCH_HEADER_BYTES, bytes.length));
    },
    fromDisk(bytes, offset) {
      const { totalBytes, payloadCrc } = decodeRedoBatchHeader(bytes, offset);
      const end = offset + totalBytes;
      if (end > bytes.length) throw new RedoBatchError('totalBytes', `${totalBytes} bytes, and ${bytes.length - offset} are there`);
      if (totalBytes < REDO_BATCH_HEADER_BYTES + extraBytes) throw new RedoBatchError('totalBytes', `${totalBytes} is no sealed batch`);
      const from = offset + REDO_BATCH_HEADER_BYTES;
      // What opens is whole; of what does not its CRC says whether it was damaged, or is of another key.
      const plain = open(sealer, bytes.subarray(offset, end), () => crc32cRange(bytes, from, end) === payloadCrc);
      const batch = Buffer.allocUnsafe(totalBytes - extraBytes);
      bytes.copy(batch, 0, offset, from);
      plain.copy(batch, REDO_BATCH_HEADER_BYTES);
      completeRedoBatch(batch, plain.readUInt32LE(plain.length - CRC_BYTES));
      return { header: decodeRedoBatchHeader(batch), batch };
    },
  };
}

function open(sealer: Sealer, stored: Buffer, isWhole: () => boolean): Buffer {
  const sealAt = stored.length - SEAL_BYTES;
  try {
    return sealer.open(stored.subarray(0, ASSOCIATED_BYTES), stored.subarray(REDO_BATCH_HEADER_BYTES, sealAt), stored.subarray(sealAt));
  } catch (error) {
    if (error instanceof SealError && !isWhole()) throw new RedoBatchError('payloadCrc', 'does not match the payload');
    // It is as somebody wrote it, since its CRC is right: no damage that a copy should paint over.
    if (error instanceof SealError) throw new KeyUnusableError(`a batch of the redo log ${error.message}`);
    throw error;
  }
}
