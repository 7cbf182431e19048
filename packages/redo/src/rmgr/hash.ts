import { type BlockRef, decodeStruct, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import {
  addItem,
  deleteIndexItems,
  indexTupleSize,
  maskContent,
  maskHintBits,
  maskLineFlags,
  maskLsnAndChecksum,
  maskUnusedSpace,
  maxAlign,
  PageLayoutError,
} from '../page/index.ts';
import { blockNumberOf, hasBlock, INVALID_BLOCK, offsetNumbers, requireWritten, slice } from './block-data.ts';
import {
  ADD_OVERFLOW,
  HASH_CONTENTS_AT,
  HASH_MAX_BITMAPS,
  HASH_MAX_SPLITPOINTS,
  INIT_META,
  INVALID_BUCKET,
  LH_BUCKET_NEEDS_SPLIT_CLEANUP,
  LH_BUCKET_PAGE,
  LH_OVERFLOW_PAGE,
  LH_PAGE_HAS_DEAD_TUPLES,
  LH_PAGE_TYPE,
  LH_UNUSED_PAGE,
  META,
  MOVE_CONTENTS,
  SPLIT_ALLOCATE,
  SPLIT_UPDATES_MASKS,
  SPLIT_UPDATES_SPLITPOINT,
  SQUEEZE,
  VACUUM_ONE,
  VACUUM_ONE_OFFSETS_AT,
} from './hash/layout.ts';
import {
  hashFlags,
  initBitmapPage,
  initHashPage,
  initMetaPage,
  setBitmapBit,
  setHashFlags,
  setNextBlock,
  setPrevBlock,
} from './hash/pages.ts';
import { type PageMask, type PageRedo, blockOf, opcode, unknownOpcode } from './resource-manager.ts';

const { HASH } = OPCODE;

/**
 * Replay of hash index records (hash/hash_xlog.c). Blocks of each record, by id (i: built anew, []: optional):
 *
 *   INIT_META 0i meta · INIT_BITMAP 0i bitmap, 1 meta · INSERT 0 page, 1 meta
 *   ADD_OVFL 0i overflow, 1 page before, [2] bitmap, [3i] new bitmap, 4 meta
 *   SPLIT_ALLOCATE 0 old bucket, 1i new bucket, 2 meta · SPLIT_PAGE 0 (image) · SPLIT_COMPLETE 0 old, 1 new bucket
 *   MOVE_CONTENTS [0] bucket (lock only), 1 written, 2 deleted from
 *   SQUEEZE [0] bucket (lock only), [1] written, 2 freed, [3] before it, [4] after it, 5 bitmap, [6] meta
 *   DELETE [0] bucket (lock only), 1 page · SPLIT_CLEANUP 0 bucket · UPDATE_META 0 meta · VACUUM_ONE 0 page, 1 meta
 */
export const hashRedo: PageRedo = (page, record, touched) => {
  const block = blockOf(record, touched);
  if (buildPage(page, record, block)) return;
  requireWritten(page);
  changePage(page, record, block);
};

/** Bucket flags are set after the image was taken, so redo sets them in a restored page too. */
export const hashAfterImage: PageRedo = (page, record, touched) => {
  const block = blockOf(record, touched);
  const op = opcode(record);
  if ((op === HASH.SPLIT_ALLOCATE_PAGE && block.id === 0) || op === HASH.SPLIT_COMPLETE) changePage(page, record, block);
};

/**
 * False for blocks that a record registers only so that redo locks them; redo leaves them and their pd_lsn as they are.
 */
export function hashChangesBlock(record: WalRecord, blockId: number): boolean {
  switch (opcode(record)) {
    case HASH.MOVE_PAGE_CONTENTS:
    case HASH.DELETE:
      return blockId !== 0;
    case HASH.SQUEEZE_PAGE: {
      const squeeze = decodeStruct(SQUEEZE, record.mainData);
      return blockId === 1 ? squeeze.tuples > 0 || squeeze.previousIsWritten : blockId !== 0;
    }
    default:
      return true;
  }
}

/** Builds the pages that a record makes from nothing. False when the block is one that it changes. */
function buildPage(page: Buffer, record: WalRecord, block: BlockRef): boolean {
  const op = opcode(record);
  if (op === HASH.INIT_META_PAGE && block.id === 0) {
    const { tuples, procedure, fillFactor } = decodeStruct(INIT_META, record.mainData);
    initMetaPage(page, tuples, procedure, fillFactor);
  } else if ((op === HASH.INIT_BITMAP_PAGE && block.id === 0) || (op === HASH.ADD_OVFL_PAGE && block.id === 3)) {
    initBitmapPage(page, record.mainData.readUInt16LE(0));
  } else if (op === HASH.ADD_OVFL_PAGE && block.id === 0) {
    initHashPage(page, LH_OVERFLOW_PAGE, block.data.readUInt32LE(0), blockNumberOf(record, 1));
  } else if (op === HASH.SPLIT_ALLOCATE_PAGE && block.id === 1) {
    const { newBucket, newBucketFlags } = decodeStruct(SPLIT_ALLOCATE, record.mainData);
    initHashPage(page, newBucketFlags, newBucket, newBucket);
  } else {
    return false;
  }
  return true;
}

function changePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  switch (opcode(record)) {
    case HASH.INIT_BITMAP_PAGE:
      return addFirstBitmap(page);
    case HASH.INSERT:
      if (block.id === 0) return addItem(page, block.data, record.mainData.readUInt16LE(0), 'shuffle');
      return addToTupleCount(page, 1);
    case HASH.ADD_OVFL_PAGE:
      return changeForOverflow(page, record, block);
    case HASH.SPLIT_ALLOCATE_PAGE:
      return changeForSplit(page, record, block);
    case HASH.SPLIT_COMPLETE:
      return setHashFlags(page, record.mainData.readUInt16LE(block.id === 0 ? 0 : 2));
    case HASH.MOVE_PAGE_CONTENTS:
      return moveContents(page, record, block);
    case HASH.SQUEEZE_PAGE:
      return squeeze(page, record, block);
    case HASH.DELETE:
      if (block.id === 1) deleteTuples(page, record, block);
      return;
    case HASH.SPLIT_CLEANUP:
      return setHashFlags(page, hashFlags(page) & ~LH_BUCKET_NEEDS_SPLIT_CLEANUP);
    case HASH.UPDATE_META_PAGE:
      page.writeDoubleLE(record.mainData.readDoubleLE(0), HASH_CONTENTS_AT + META.tuples);
      return;
    case HASH.VACUUM_ONE_PAGE:
      return vacuumOnePage(page, record, block);
    case HASH.SPLIT_PAGE:
      throw new PageLayoutError('a hash split record must carry the full image of its page');
    default:
      throw unknownOpcode(record, block.id);
  }
}

/** INIT_BITMAP on the metapage: the first bitmap lies right after the buckets, blocks 1 to maxBucket + 1. */
function addFirstBitmap(meta: Buffer): void {
  appendBitmap(meta, meta.readUInt32LE(HASH_CONTENTS_AT + META.maxBucket) + 2);
}

function appendBitmap(meta: Buffer, bitmapBlock: number): void {
  const count = meta.readUInt32LE(HASH_CONTENTS_AT + META.bitmaps);
  if (count >= HASH_MAX_BITMAPS) throw new PageLayoutError(`a hash index cannot have more than ${count} bitmap pages`);
  meta.writeUInt32LE(bitmapBlock, HASH_CONTENTS_AT + META.bitmapBlocks + count * 4);
  meta.writeUInt32LE(count + 1, HASH_CONTENTS_AT + META.bitmaps);
}

function addToTupleCount(meta: Buffer, change: number): void {
  const at = HASH_CONTENTS_AT + META.tuples;
  meta.writeDoubleLE(meta.readDoubleLE(at) + change, at);
}

function setFirstFree(meta: Buffer, block: BlockRef): void {
  meta.writeUInt32LE(block.data.readUInt32LE(0), HASH_CONTENTS_AT + META.firstFree);
}

function changeForOverflow(page: Buffer, record: WalRecord, block: BlockRef): void {
  if (block.id === 1) return setNextBlock(page, blockNumberOf(record, 0));
  if (block.id === 2) return setBitmapBit(page, block.data.readUInt32LE(0), true);
  setFirstFree(page, block);
  if (decodeStruct(ADD_OVERFLOW, record.mainData).bitmapPageFound) return;
  // The overflow page came from the end of the index; a new bitmap page, when there is one, did too.
  const withBitmap = hasBlock(record, 3);
  if (withBitmap) appendBitmap(page, blockNumberOf(record, 3));
  const point = page.readUInt32LE(HASH_CONTENTS_AT + META.overflowPoint);
  const at = sparesAt(point);
  page.writeUInt32LE(page.readUInt32LE(at) + (withBitmap ? 2 : 1), at);
}

/** Byte offset of hashm_spares[point]. Throws PageLayoutError past the array. */
function sparesAt(point: number): number {
  if (point >= HASH_MAX_SPLITPOINTS) throw new PageLayoutError(`split point ${point} lies beyond ${HASH_MAX_SPLITPOINTS}`);
  return HASH_CONTENTS_AT + META.spares + point * 4;
}

function changeForSplit(page: Buffer, record: WalRecord, block: BlockRef): void {
  const split = decodeStruct(SPLIT_ALLOCATE, record.mainData);
  if (block.id === 0) {
    setHashFlags(page, split.oldBucketFlags);
    setPrevBlock(page, split.newBucket);
    return;
  }
  page.writeUInt32LE(split.newBucket, HASH_CONTENTS_AT + META.maxBucket);
  let at = 0;
  if ((split.flags & SPLIT_UPDATES_MASKS) !== 0) {
    page.writeUInt32LE(block.data.readUInt32LE(at), HASH_CONTENTS_AT + META.lowMask);
    page.writeUInt32LE(block.data.readUInt32LE(at + 4), HASH_CONTENTS_AT + META.highMask);
    at += 8;
  }
  if ((split.flags & SPLIT_UPDATES_SPLITPOINT) !== 0) {
    const point = block.data.readUInt32LE(at);
    page.writeUInt32LE(block.data.readUInt32LE(at + 4), sparesAt(point));
    page.writeUInt32LE(point, HASH_CONTENTS_AT + META.overflowPoint);
  }
}

function moveContents(page: Buffer, record: WalRecord, block: BlockRef): void {
  if (block.id === 1) addTuples(page, block.data, decodeStruct(MOVE_CONTENTS, record.mainData).tuples);
  if (block.id === 2) deleteIndexItems(page, offsetNumbers(block.data, 0, block.data.length >> 1));
}

/** Adds `count` tuples; `data` is their offset numbers, then the tuples, each padded to 8 bytes. */
function addTuples(page: Buffer, data: Buffer, count: number): void {
  let at = count * 2;
  for (const offsetNumber of offsetNumbers(data, 0, count)) {
    const size = maxAlign(indexTupleSize(data, at));
    addItem(page, slice(data, at, size), offsetNumber, 'shuffle');
    at += size;
  }
}

function squeeze(page: Buffer, record: WalRecord, block: BlockRef): void {
  const change = decodeStruct(SQUEEZE, record.mainData);
  switch (block.id) {
    case 0:
      return;
    case 1:
      addTuples(page, block.data, change.tuples);
      if (change.previousIsWritten) setNextBlock(page, change.nextBlock);
      return;
    case 2:
      return initHashPage(page, LH_UNUSED_PAGE, INVALID_BUCKET, INVALID_BLOCK);
    case 3:
      return setNextBlock(page, change.nextBlock);
    case 4:
      return setPrevBlock(page, change.prevBlock);
    case 5:
      return setBitmapBit(page, block.data.readUInt32LE(0), false);
    case 6:
      return setFirstFree(page, block);
    default:
      throw unknownOpcode(record, block.id);
  }
}

function deleteTuples(page: Buffer, record: WalRecord, block: BlockRef): void {
  deleteIndexItems(page, offsetNumbers(block.data, 0, block.data.length >> 1));
  const clearDeadMarking = record.mainData.readUInt8(0) !== 0;
  if (clearDeadMarking) setHashFlags(page, hashFlags(page) & ~LH_PAGE_HAS_DEAD_TUPLES);
}

function vacuumOnePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { tuples } = decodeStruct(VACUUM_ONE, record.mainData);
  if (block.id === 1) return addToTupleCount(page, -tuples);
  deleteIndexItems(page, offsetNumbers(record.mainData, VACUUM_ONE_OFFSETS_AT, tuples));
  setHashFlags(page, hashFlags(page) & ~LH_PAGE_HAS_DEAD_TUPLES);
}

/** Blanks what may differ between the writer and replay (hash_mask). */
export const hashMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  maskUnusedSpace(page);
  const type = hashFlags(page) & LH_PAGE_TYPE;
  if (type === LH_UNUSED_PAGE) maskContent(page);
  else if (type === LH_BUCKET_PAGE || type === LH_OVERFLOW_PAGE) maskLineFlags(page);
  setHashFlags(page, hashFlags(page) & ~LH_PAGE_HAS_DEAD_TUPLES);
};
