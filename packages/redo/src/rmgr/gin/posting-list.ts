import { PageLayoutError, readBlockId, writeItemPointer } from '../../page/index.ts';

/**
 * Compressed posting lists (gin/ginpostinglist.c): 6 bytes first item pointer, u16 byte count, then one varbyte number
 * per further item, its distance from the item before; padded to an even length. An item pointer counts as
 * block * 2048 + offset, 43 bits, and is held here as such a number (exact in a double).
 *
 * Varbyte: seven bits a byte, lowest first; the high bit says that more follow. Seven bytes at most.
 */
const HEADER_SIZE = 8;
const OFFSETS_PER_BLOCK = 2048;

/** Bytes a segment that starts at `at` takes, padding included. */
export function segmentSize(bytes: Buffer, at: number): number {
  const size = HEADER_SIZE + evenUp(bytes.readUInt16LE(at + 6));
  if (at + size > bytes.length) throw new PageLayoutError(`a posting list of ${size} bytes passes the end of its page`);
  return size;
}

export function itemNumber(bytes: Buffer, at: number): number {
  return readBlockId(bytes, at) * OFFSETS_PER_BLOCK + bytes.readUInt16LE(at + 4);
}

/** The items of one segment, ascending. */
export function decodeSegment(bytes: Buffer, at: number): number[] {
  const end = at + HEADER_SIZE + bytes.readUInt16LE(at + 6);
  if (end > bytes.length) throw new PageLayoutError('a posting list passes the end of its page');
  let item = itemNumber(bytes, at);
  const items = [item];
  let position = at + HEADER_SIZE;
  while (position < end) {
    let distance = 0;
    let scale = 1;
    let byte: number;
    do {
      if (position >= end) throw new PageLayoutError('a posting list ends inside a number');
      byte = bytes.readUInt8(position++);
      distance += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    item += distance;
    items.push(item);
  }
  return items;
}

/** One segment of all the items, which must be ascending and not empty. */
export function encodeSegment(items: readonly number[]): Buffer {
  const first = items[0];
  if (first === undefined) throw new PageLayoutError('a posting list cannot be empty');
  const bytes: number[] = [];
  let previous = first;
  for (const item of items.slice(1)) {
    let distance = item - previous;
    if (distance <= 0) throw new PageLayoutError(`posting list items are out of order: ${previous}, ${item}`);
    while (distance > 0x7f) {
      bytes.push(0x80 | (distance % 128));
      distance = Math.floor(distance / 128);
    }
    bytes.push(distance);
    previous = item;
  }
  const segment = Buffer.alloc(HEADER_SIZE + evenUp(bytes.length));
  writeItemPointer(segment, 0, Math.floor(first / OFFSETS_PER_BLOCK), first % OFFSETS_PER_BLOCK);
  segment.writeUInt16LE(bytes.length, 6);
  segment.set(bytes, HEADER_SIZE);
  return segment;
}

/** Merges two ascending lists; an item in both appears once. */
export function mergeItems(a: readonly number[], b: readonly number[]): number[] {
  const merged: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = a[i] ?? Infinity;
    const right = b[j] ?? Infinity;
    merged.push(Math.min(left, right));
    if (left <= right) i++;
    if (right <= left) j++;
  }
  return merged;
}

export function evenUp(length: number): number {
  return (length + 1) & ~1;
}
