/**
 * How storage names pages: by a space, which only the volume's engine understands, and a block in it. Pages of one
 * space are neighbours. Spaces whose bytes begin alike belong together (the relations of a database, say), so that one
 * effect can drop or copy them all.
 *
 * As bytes, on the wire and in the page store: the space's bytes, then the block (u32, big-endian). They sort by space,
 * then by block.
 */
export interface PageKey {
  /**
   * The space's bytes, one a character (latin1): a string is the fastest key of a Map that also sorts as its bytes do.
   */
  readonly space: string;
  /** 0 to 2^32 - 1. */
  readonly block: number;
}

const BLOCK_BYTES = 4;
export const PAGE_KEY_BYTES_MIN = 1 + BLOCK_BYTES;
/** No engine needs more; longer ones are refused before anybody looks at them. */
export const PAGE_KEY_BYTES_MAX = 64;

/** Bytes that are no page key; the message says why. */
export class PageKeyError extends RangeError {
  constructor(message: string) {
    super(message);
    this.name = 'PageKeyError';
  }
}

/** The bytes of a page's key, after `prefix` bytes that are left to the caller. */
export function encodeKey({ space, block }: PageKey, prefix = 0): Buffer {
  const end = prefix + space.length;
  const key = Buffer.allocUnsafe(end + BLOCK_BYTES);
  key.write(space, prefix, 'latin1');
  key.writeUInt32BE(block, end);
  return key;
}

/** Inverse of {@link encodeKey}. Throws PageKeyError for what is too short or too long to be one. */
export function decodeKey(key: Buffer): PageKey {
  if (key.length < PAGE_KEY_BYTES_MIN || key.length > PAGE_KEY_BYTES_MAX) {
    throw new PageKeyError(`${key.length} bytes, a page key has ${PAGE_KEY_BYTES_MIN} to ${PAGE_KEY_BYTES_MAX}`);
  }
  const end = key.length - BLOCK_BYTES;
  return { space: key.toString('latin1', 0, end), block: key.readUInt32BE(end) };
}

/**
 * One string for a page, as the key of a Map; it has no order. A block's digits end at the colon, so no two pages share
 * one.
 */
export function keyText({ space, block }: PageKey): string {
  return `${block}:${space}`;
}

/** A space, or the beginning of one, as bytes. */
export function spaceBytes(space: string): Buffer {
  return Buffer.from(space, 'latin1');
}

/** Inverse of {@link spaceBytes}. */
export function spaceOfBytes(bytes: Buffer): string {
  return bytes.toString('latin1');
}
