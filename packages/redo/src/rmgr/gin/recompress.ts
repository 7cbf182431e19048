import { ITEM_POINTER_SIZE, PageLayoutError, pageLower } from '../../page/index.ts';
import { slice } from '../block-data.ts';
import { GIN_COMPRESSED, GIN_DATA_AT, ginFlags, maxOffset, setDataSize, setGinFlags, setMaxOffset } from './layout.ts';
import { decodeSegment, encodeSegment, itemNumber, mergeItems, segmentSize } from './posting-list.ts';

/**
 * Changes to the posting lists of a posting-tree leaf (ginxlogRecompressDataLeaf): u16 count of actions, then each
 * action: u8 segment number, u8 kind, and what the kind needs. Segment numbers count the page's segments as they were
 * before the record, and never go down.
 */
const SEGMENT_DELETE = 1;
/** A whole new segment goes before the numbered one. */
const SEGMENT_INSERT = 2;
/** A whole new segment takes the numbered one's place. */
const SEGMENT_REPLACE = 3;
/** u16 count and that many item pointers, merged into the numbered segment. */
const SEGMENT_ADD_ITEMS = 4;

/** Applies the actions to a leaf page. Throws PageLayoutError when they do not fit the page's segments. */
export function recompressLeaf(page: Buffer, actions: Buffer): void {
  if ((ginFlags(page) & GIN_COMPRESSED) === 0) compressOldLeaf(page);
  const old = Buffer.from(page.subarray(GIN_DATA_AT, pageLower(page)));
  const rebuilt: Buffer[] = [];
  let readAt = 0;
  let segment = 0;
  const takeSegment = (): Buffer => {
    if (readAt >= old.length) throw new PageLayoutError(`posting list segment ${segment} is not on the page`);
    const taken = slice(old, readAt, segmentSize(old, readAt));
    readAt += taken.length;
    segment++;
    return taken;
  };

  let at = 2;
  for (let left = slice(actions, 0, 2).readUInt16LE(0); left > 0; left--) {
    const [target = 0, kind = 0] = slice(actions, at, 2);
    at += 2;
    if (target < segment) throw new PageLayoutError(`posting list action goes back from segment ${segment} to ${target}`);
    while (segment < target) rebuilt.push(takeSegment());
    if (kind === SEGMENT_DELETE) {
      takeSegment();
    } else if (kind === SEGMENT_INSERT || kind === SEGMENT_REPLACE) {
      if (kind === SEGMENT_REPLACE) takeSegment();
      const added = slice(actions, at, segmentSize(actions, at));
      at += added.length;
      rebuilt.push(added);
    } else if (kind === SEGMENT_ADD_ITEMS) {
      const count = actions.readUInt16LE(at);
      const added = itemsOf(slice(actions, at + 2, count * ITEM_POINTER_SIZE));
      at += 2 + count * ITEM_POINTER_SIZE;
      rebuilt.push(encodeSegment(mergeItems(added, decodeSegment(takeSegment(), 0))));
    } else {
      throw new PageLayoutError(`unexpected posting list action ${kind}`);
    }
  }
  rebuilt.push(old.subarray(readAt));
  writeSegments(page, Buffer.concat(rebuilt));
}

function writeSegments(page: Buffer, segments: Buffer): void {
  // The size is checked before the write, so that a page that does not fit is left whole.
  setDataSize(page, segments.length);
  page.set(segments, GIN_DATA_AT);
}

function itemsOf(pointers: Buffer): number[] {
  const items: number[] = [];
  for (let at = 0; at < pointers.length; at += ITEM_POINTER_SIZE) items.push(itemNumber(pointers, at));
  return items;
}

/**
 * Leaves that came from a cluster older than 9.4 hold plain item pointers; they become one segment at their first
 * change.
 */
function compressOldLeaf(page: Buffer): void {
  const items = itemsOf(slice(page, GIN_DATA_AT, maxOffset(page) * ITEM_POINTER_SIZE));
  writeSegments(page, items.length === 0 ? Buffer.alloc(0) : encodeSegment(items));
  setGinFlags(page, ginFlags(page) | GIN_COMPRESSED);
  setMaxOffset(page, 0);
}
