import { zstdDecompressSync } from 'node:zlib';
import { uncompressSync } from 'lz4-napi';
import { PAGE_BYTES } from './page.ts';
import { decompressPglz } from './pglz.ts';
import { StructFormatError } from './wal-format-error.ts';
import type { BlockImage } from './wal-record.ts';

/**
 * The page that a full-page image stands for (RestoreBlockImage): decompressed, its hole filled with zeros. The page's
 * LSN is what it was when the image was taken; whoever restores it sets it to the record's end.
 *
 * Throws StructFormatError when the image does not decompress to the size that its header says.
 */
export function restoreBlockImage(image: BlockImage): Buffer {
  const contents = decompress(image);
  if (contents.length !== PAGE_BYTES - image.holeLength) {
    throw new StructFormatError(
      'block image',
      `${contents.length} bytes, expected ${PAGE_BYTES - image.holeLength} (${image.compression})`,
    );
  }
  const page = Buffer.allocUnsafe(PAGE_BYTES);
  const holeEnd = image.holeOffset + image.holeLength;
  contents.copy(page, 0, 0, image.holeOffset);
  page.fill(0, image.holeOffset, holeEnd);
  contents.copy(page, holeEnd, image.holeOffset);
  return page;
}

function decompress(image: BlockImage): Buffer {
  const size = PAGE_BYTES - image.holeLength;
  try {
    switch (image.compression) {
      case 'none':
        return image.data;
      case 'pglz':
        return decompressPglz(image.data, size);
      case 'lz4':
        return decompressLz4(image.data, size);
      case 'zstd':
        return zstdDecompressSync(image.data, { maxOutputLength: PAGE_BYTES });
    }
  } catch (error) {
    if (error instanceof StructFormatError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StructFormatError('block image', `${image.compression} data of ${image.data.length} bytes is damaged: ${reason}`);
  }
}

/** PostgreSQL stores a bare LZ4 block; the library wants its decompressed size as a u32 before it. */
function decompressLz4(block: Buffer, size: number): Buffer {
  const prefixed = Buffer.allocUnsafe(4 + block.length);
  prefixed.writeUInt32LE(size, 0);
  block.copy(prefixed, 4);
  return uncompressSync(prefixed);
}
