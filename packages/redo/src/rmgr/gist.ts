import { type BlockRef, decodeStruct, type Layout, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import {
  addItem,
  deleteIndexItem,
  deleteIndexItems,
  indexTupleSize,
  initPage,
  lineCount,
  maskHintBits,
  maskLineFlags,
  maskLsnAndChecksum,
  maskUnusedSpace,
  overwriteIndexItem,
  PAGE_SIZE,
  setPageLower,
} from '../page/index.ts';
import { blockNumberOf, INVALID_BLOCK, offsetNumbers, requireWritten, slice } from './block-data.ts';
import { blockOf, opcode, type PageMask, type PageRedo, unknownOpcode } from './resource-manager.ts';

const { GIST } = OPCODE;

/**
 * Replay of GiST records (gist/gistxlog.c). Blocks of each record, by id (i: built anew, []: optional):
 *
 *   PAGE_UPDATE 0 page, [1] left child of a finished split · DELETE 0 leaf · PAGE_SPLIT [0] left child, 1..n i pages
 *   PAGE_DELETE 0 leaf, 1 parent · PAGE_REUSE and ASSIGN_LSN touch no page
 *
 * Pages end with 16 bytes of GISTPageOpaqueData (access/gist.h):
 *   0 node sequence number (an LSN: u32 high, u32 low)   8 rightlink u32   12 flags u16   14 page id u16
 */
const OPAQUE_SIZE = 16;
const OPAQUE_AT = PAGE_SIZE - OPAQUE_SIZE;
const NSN_AT = OPAQUE_AT;
const RIGHT_LINK_AT = OPAQUE_AT + 8;
const FLAGS_AT = OPAQUE_AT + 12;
const PAGE_ID_AT = OPAQUE_AT + 14;
const GIST_PAGE_ID = 0xff81;

const F_LEAF = 0x01;
const F_DELETED = 0x02;
const F_TUPLES_DELETED = 0x04;
const F_FOLLOW_RIGHT = 0x08;
const F_HAS_GARBAGE = 0x10;

const ROOT_BLOCK = 0;
/** A deleted page holds only the xid of its deletion (GISTDeletedPageContents), right after the page header. */
const DELETE_XID_AT = 24;
const DELETED_PAGE_END = 32;

const PAGE_UPDATE = {
  deleted: { type: 'u16', at: 0 },
  inserted: { type: 'u16', at: 2 },
} as const satisfies Layout;

/** gistxlogDelete after the conflict horizon; the offset numbers follow at byte 8. */
const DELETE_COUNT_AT = 4;
const DELETE_OFFSETS_AT = 8;

const PAGE_SPLIT = {
  originalRightLink: { type: 'u32', at: 0 },
  originalNsn: { type: 'u64', at: 8 },
  isLeaf: { type: 'bool', at: 16 },
  pages: { type: 'u16', at: 18 },
  markFollowRight: { type: 'bool', at: 20 },
} as const satisfies Layout;

const PAGE_DELETE = {
  deleteXid: { type: 'u64', at: 0 },
  downlinkOffset: { type: 'u16', at: 8 },
} as const satisfies Layout;

export const gistRedo: PageRedo = (page, record, touched) => {
  const block = blockOf(record, touched);
  const op = opcode(record);
  if (op === GIST.PAGE_SPLIT && block.id > 0) return buildSplitPage(page, record, block);
  requireWritten(page);
  if (finishesSplit(record, block.id)) return clearFollowRight(page, record);
  switch (op) {
    case GIST.PAGE_UPDATE:
      return updatePage(page, record, block);
    case GIST.DELETE:
      return deleteDeadTuples(page, record);
    case GIST.PAGE_DELETE:
      return deletePage(page, record, block);
    default:
      throw unknownOpcode(record, block.id);
  }
};

/** The left child's new sequence number is this record's own LSN, which its image could not yet hold. */
export const gistAfterImage: PageRedo = (page, record, touched) => {
  if (finishesSplit(record, blockOf(record, touched).id)) clearFollowRight(page, record);
};

/** Whether the block is the left half of a split that the record completes by inserting its downlink. */
function finishesSplit(record: WalRecord, blockId: number): boolean {
  const op = opcode(record);
  return (op === GIST.PAGE_UPDATE && blockId === 1) || (op === GIST.PAGE_SPLIT && blockId === 0);
}

function clearFollowRight(page: Buffer, record: WalRecord): void {
  setNsn(page, record.endLsn);
  setFlags(page, flagsOf(page) & ~F_FOLLOW_RIGHT);
}

/** Block data: the offset numbers to delete, then the tuples to add. */
function updatePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { deleted, inserted } = decodeStruct(PAGE_UPDATE, record.mainData);
  const offsets = offsetNumbers(block.data, 0, deleted);
  const [replaced] = offsets;
  const tuplesAt = deleted * 2;
  if (deleted === 1 && inserted === 1 && replaced !== undefined) {
    // One for one is overwritten in place, which keeps the tuple's offset number.
    return overwriteIndexItem(page, replaced, tupleAt(block.data, tuplesAt));
  }
  if (deleted > 0) {
    deleteIndexItems(page, offsets);
    if ((flagsOf(page) & F_LEAF) !== 0) setFlags(page, flagsOf(page) | F_TUPLES_DELETED);
  }
  appendTuples(page, block.data, tuplesAt);
}

function tupleAt(data: Buffer, at: number): Buffer {
  return slice(data, at, indexTupleSize(data, at));
}

/** Appends the index tuples that stand one after another from `at` to the end of `data`. */
function appendTuples(page: Buffer, data: Buffer, at: number): void {
  let next = at;
  while (next < data.length) {
    const tuple = tupleAt(data, next);
    addItem(page, tuple, lineCount(page) + 1, 'shuffle');
    next += tuple.length;
  }
}

/**
 * Tuples that scans found dead. PostgreSQL's own redo also sets F_TUPLES_DELETED here, which the writer does not and
 * nothing reads; the page is kept as the writer has it.
 */
function deleteDeadTuples(page: Buffer, record: WalRecord): void {
  const count = record.mainData.readUInt16LE(DELETE_COUNT_AT);
  deleteIndexItems(page, offsetNumbers(record.mainData, DELETE_OFFSETS_AT, count));
  setFlags(page, flagsOf(page) & ~F_HAS_GARBAGE);
}

/**
 * One of the pages a split leaves; each links to the next block of the record, the last to where the split page linked.
 * Block data: i32 count, then the tuples.
 */
function buildSplitPage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const split = decodeStruct(PAGE_SPLIT, record.mainData);
  const isRoot = block.blockNumber === ROOT_BLOCK;
  const isLast = block.id === split.pages;
  // When the root splits, its new content comes as the first page and no half needs a downlink later.
  const isRootSplit = blockNumberOf(record, 1) === ROOT_BLOCK;
  initPage(page, OPAQUE_SIZE);
  page.writeUInt16LE(GIST_PAGE_ID, PAGE_ID_AT);
  appendTuples(page, block.data, 4);
  setNsn(page, split.originalNsn);
  if (isRoot) {
    page.writeUInt32LE(INVALID_BLOCK, RIGHT_LINK_AT);
    setFlags(page, 0);
    return;
  }
  page.writeUInt32LE(isLast ? split.originalRightLink : blockNumberOf(record, block.id + 1), RIGHT_LINK_AT);
  const followRight = !isLast && !isRootSplit && split.markFollowRight;
  setFlags(page, (split.isLeaf ? F_LEAF : 0) | (followRight ? F_FOLLOW_RIGHT : 0));
}

function deletePage(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { deleteXid, downlinkOffset } = decodeStruct(PAGE_DELETE, record.mainData);
  if (block.id === 1) return deleteIndexItem(page, downlinkOffset);
  setFlags(page, flagsOf(page) | F_DELETED);
  setPageLower(page, DELETED_PAGE_END);
  page.writeBigUInt64LE(deleteXid, DELETE_XID_AT);
}

function flagsOf(page: Buffer): number {
  return page.readUInt16LE(FLAGS_AT);
}

function setFlags(page: Buffer, flags: number): void {
  page.writeUInt16LE(flags, FLAGS_AT);
}

function setNsn(page: Buffer, nsn: bigint): void {
  page.writeUInt32LE(Number(nsn >> 32n), NSN_AT);
  page.writeUInt32LE(Number(nsn & 0xffff_ffffn), NSN_AT + 4);
}

/** Blanks what may differ between the writer and replay (gist_mask). */
export const gistMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  maskUnusedSpace(page);
  // The writer takes the image before it sets the left child's sequence number and clears its flag.
  setNsn(page, 0n);
  setFlags(page, flagsOf(page) | F_FOLLOW_RIGHT);
  if ((flagsOf(page) & F_LEAF) !== 0) maskLineFlags(page);
  setFlags(page, flagsOf(page) & ~F_HAS_GARBAGE);
};
