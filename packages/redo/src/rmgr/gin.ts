import { type BlockRef, decodeStruct, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import {
  addItem,
  deleteIndexItem,
  indexTupleSize,
  itemBytes,
  lineCount,
  maskContent,
  maskHintBits,
  maskLsnAndChecksum,
  maskUnusedSpace,
  PAGE_HEADER_SIZE,
  PageLayoutError,
  pageLower,
  readBlockId,
  setPruneXid,
  writeBlockId,
  writeItemPointer,
} from '../page/index.ts';
import { INVALID_BLOCK, requireWritten, slice } from './block-data.ts';
import {
  DELETE_PAGE,
  GIN_COMPRESSED,
  GIN_DATA,
  GIN_DATA_AT,
  GIN_DELETED,
  GIN_INCOMPLETE_SPLIT,
  GIN_INSERT_IS_DATA,
  GIN_INSERT_IS_LEAF,
  GIN_LEAF,
  GIN_LIST,
  GIN_LIST_FULL_ROW,
  GIN_META_SIZE,
  ginFlags,
  initGinMetaPage,
  initGinPage,
  INSERT_LIST_PAGE,
  maxOffset,
  POSTING_ITEM_SIZE,
  setDataSize,
  setGinFlags,
  setMaxOffset,
  setRightLink,
  UPDATE_META,
  UPDATE_META_METADATA_AT,
} from './gin/layout.ts';
import { recompressLeaf } from './gin/recompress.ts';
import { blockOf, opcode, type PageMask, type PageRedo, unknownOpcode } from './resource-manager.ts';

const { GIN } = OPCODE;

/**
 * Replay of GIN records (gin/ginxlog.c). Blocks of each record, by id (i: built anew, []: optional):
 *
 *   CREATE_PTREE 0i root · INSERT 0 page, [1] left child of a finished split
 *   SPLIT 0 left, 1 right, [2] root (images), [3] left child of a finished split
 *   VACUUM_PAGE 0 (image) · VACUUM_DATA_LEAF_PAGE 0 leaf · DELETE_PAGE 0 deleted, 1 parent, 2 left sibling
 *   UPDATE_META_PAGE 0i meta, [1] old tail · INSERT_LISTPAGE 0i page · DELETE_LISTPAGE 0i meta, 1..16i pages
 */
export const ginRedo: PageRedo = (page, record, touched) => {
  const block = blockOf(record, touched);
  if (buildPage(page, record, block)) return;
  requireWritten(page);
  changePage(page, record, block);
};

/** Builds the pages that a record makes from nothing. False when the block is one that it changes. */
function buildPage(page: Buffer, record: WalRecord, block: BlockRef): boolean {
  switch (opcode(record)) {
    case GIN.CREATE_PTREE:
      initPostingTree(page, record.mainData);
      return true;
    case GIN.INSERT_LISTPAGE:
      initListPage(page, record, block);
      return true;
    case GIN.UPDATE_META_PAGE:
      if (block.id !== 0) return false;
      initGinMetaPage(page, slice(record.mainData, UPDATE_META_METADATA_AT, GIN_META_SIZE));
      return true;
    case GIN.DELETE_LISTPAGE:
      if (block.id === 0) initGinMetaPage(page, slice(record.mainData, 0, GIN_META_SIZE));
      else initGinPage(page, GIN_DELETED);
      return true;
    default:
      return false;
  }
}

function changePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  switch (opcode(record)) {
    case GIN.INSERT:
      if (block.id === 1) return clearIncompleteSplit(page);
      return insert(page, record, block);
    case GIN.SPLIT:
      if (block.id === 3) return clearIncompleteSplit(page);
      throw new PageLayoutError('a GIN split record must carry the full images of its pages');
    case GIN.VACUUM_PAGE:
      throw new PageLayoutError('a GIN vacuum record must carry the full image of its page');
    case GIN.VACUUM_DATA_LEAF_PAGE:
      return recompressLeaf(page, block.data);
    case GIN.DELETE_PAGE:
      return deletePage(page, record, block);
    case GIN.UPDATE_META_PAGE:
      return changeTail(page, record, block);
    default:
      throw unknownOpcode(record, block.id);
  }
}

function initPostingTree(page: Buffer, data: Buffer): void {
  initGinPage(page, GIN_DATA | GIN_LEAF | GIN_COMPRESSED);
  const segments = slice(data, 4, data.readUInt32LE(0));
  setDataSize(page, segments.length);
  page.set(segments, GIN_DATA_AT);
}

function initListPage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { rightLink, tuples } = decodeStruct(INSERT_LIST_PAGE, record.mainData);
  const isTail = rightLink === INVALID_BLOCK;
  initGinPage(page, isTail ? GIN_LIST | GIN_LIST_FULL_ROW : GIN_LIST);
  setRightLink(page, rightLink);
  setMaxOffset(page, isTail ? 1 : 0);
  appendTuples(page, block.data, tuples);
}

/** Appends `count` index tuples that stand one after another in `data`. */
function appendTuples(page: Buffer, data: Buffer, count: number): void {
  let at = 0;
  for (let i = 0; i < count; i++) {
    const size = indexTupleSize(data, at);
    addItem(page, slice(data, at, size), lineCount(page) + 1, 'shuffle');
    at += size;
  }
}

function clearIncompleteSplit(page: Buffer): void {
  setGinFlags(page, ginFlags(page) & ~GIN_INCOMPLETE_SPLIT);
}

/**
 * Main data: u16 flags, and on internal pages the block numbers of the left and right child whose split this finishes.
 */
function insert(page: Buffer, record: WalRecord, block: BlockRef): void {
  const flags = record.mainData.readUInt16LE(0);
  const isLeaf = (flags & GIN_INSERT_IS_LEAF) !== 0;
  const rightChild = isLeaf ? INVALID_BLOCK : readBlockId(record.mainData, 6);
  if ((flags & GIN_INSERT_IS_DATA) === 0) insertEntry(page, block.data, rightChild);
  else if (isLeaf) recompressLeaf(page, block.data);
  else insertPostingItem(page, block.data, rightChild);
}

/** Entry tree. `data`: u16 offset number, u8 replaces, pad, the index tuple. */
function insertEntry(page: Buffer, data: Buffer, rightChild: number): void {
  const offsetNumber = data.readUInt16LE(0);
  // The downlink that led to the split page now leads to its right half; the new tuple, put before it, to the left one.
  if (rightChild !== INVALID_BLOCK) writeItemPointer(itemBytes(page, offsetNumber), 0, rightChild, 0);
  const replaces = data.readUInt8(2) !== 0;
  if (replaces) deleteIndexItem(page, offsetNumber);
  addItem(page, slice(data, 4, indexTupleSize(data, 4)), offsetNumber, 'shuffle');
}

/**
 * Internal posting-tree page. `data`: u16 offset number, the posting item; it goes before the downlink it came from.
 */
function insertPostingItem(page: Buffer, data: Buffer, rightChild: number): void {
  const offsetNumber = data.readUInt16LE(0);
  const count = maxOffset(page);
  const at = postingItemAt(offsetNumber, count);
  const end = GIN_DATA_AT + count * POSTING_ITEM_SIZE;
  writeBlockId(page, at, rightChild);
  setDataSize(page, (count + 1) * POSTING_ITEM_SIZE);
  page.copyWithin(at + POSTING_ITEM_SIZE, at, end);
  page.set(slice(data, 2, POSTING_ITEM_SIZE), at);
  setMaxOffset(page, count + 1);
}

function deletePostingItem(page: Buffer, offsetNumber: number): void {
  const count = maxOffset(page);
  const at = postingItemAt(offsetNumber, count);
  page.copyWithin(at, at + POSTING_ITEM_SIZE, GIN_DATA_AT + count * POSTING_ITEM_SIZE);
  setMaxOffset(page, count - 1);
  setDataSize(page, (count - 1) * POSTING_ITEM_SIZE);
}

function postingItemAt(offsetNumber: number, count: number): number {
  if (offsetNumber < 1 || offsetNumber > count) {
    throw new PageLayoutError(`posting item ${offsetNumber} is not among the page's ${count}`);
  }
  return GIN_DATA_AT + (offsetNumber - 1) * POSTING_ITEM_SIZE;
}

function deletePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { parentOffset, rightLink, deleteXid } = decodeStruct(DELETE_PAGE, record.mainData);
  switch (block.id) {
    case 0:
      setGinFlags(page, ginFlags(page) | GIN_DELETED);
      // A deleted page has no use for pd_prune_xid; GIN keeps there the last xid that could see the page.
      return setPruneXid(page, deleteXid);
    case 1:
      return deletePostingItem(page, parentOffset);
    case 2:
      return setRightLink(page, rightLink);
    default:
      throw unknownOpcode(record, block.id);
  }
}

/** The pending list's old tail: takes further tuples, or is linked to the pages put after it. */
function changeTail(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { previousTail, newRightLink, tuples } = decodeStruct(UPDATE_META, record.mainData);
  if (tuples > 0) {
    appendTuples(page, block.data, tuples);
    setMaxOffset(page, maxOffset(page) + 1);
  } else if (previousTail !== INVALID_BLOCK) {
    setRightLink(page, newRightLink);
  }
}

/** Blanks what may differ between the writer and replay (gin_mask). */
export const ginMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  const deleted = (ginFlags(page) & GIN_DELETED) !== 0;
  maskHintBits(page);
  if (deleted) maskContent(page);
  else if (pageLower(page) > PAGE_HEADER_SIZE) maskUnusedSpace(page);
};
