import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { initPage, maxAlign, PAGE_HEADER_SIZE, PageLayoutError, pageSpecial, setPageLower, setPageUpper } from '../page/header.ts';
import { indexTupleSize } from '../page/index-tuple.ts';
import { addItem, deleteIndexItem, deleteIndexItems, overwriteIndexItem } from '../page/items.ts';
import { itemBytes, lineCount } from '../page/line-pointer.ts';
import { maskHintBits, maskLineFlags, maskLsnAndChecksum, maskUnusedSpace } from '../page/mask.ts';
import { restoreTempPage, tempPageWithSpecial } from '../page/temp-page.ts';
import { downLink, formPosting, halfDeadHighKey, heapPointerBytes, setDownLink, swapPosting, withoutPointers } from './btree-tuple.ts';
import { blockById, blockOf, opcode, unknownOpcode } from './resource-manager.ts';

/** B-tree records (access/nbtxlog.h). */

/** BTPageOpaqueData in the special space: 0 prev u32, 4 next u32, 8 level u32, 12 flags u16, 14 cycle id u16. */
const OPAQUE_SIZE = 16;
const OPAQUE = { PREV: 0, NEXT: 4, LEVEL: 8, FLAGS: 12, CYCLE_ID: 14 } as const;

const BTP_LEAF = 0x001;
const BTP_ROOT = 0x002;
const BTP_DELETED = 0x004;
const BTP_META = 0x008;
const BTP_HALF_DEAD = 0x010;
const BTP_SPLIT_END = 0x020;
const BTP_HAS_GARBAGE = 0x040;
const BTP_INCOMPLETE_SPLIT = 0x080;
const BTP_HAS_FULLXID = 0x100;

const P_NONE = 0;
const P_HIKEY = 1;

/**
 * What is left of B-tree's records: tuples that are put in, and the ends of splits, are redone in C (../../native/btree.c). Which part of the
 * record a block is, by opcode: the ids of access/nbtxlog.h's comments.
 */
export function btreeRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const block = blockOf(record, touched).id;
  const op = opcode(record);
  switch (op) {
    case OPCODE.BTREE.INSERT_META:
      return restoreMeta(page, record, touched);
    case OPCODE.BTREE.SPLIT_L:
    case OPCODE.BTREE.SPLIT_R:
      if (block === 0) return splitLeft(page, record, touched, op === OPCODE.BTREE.SPLIT_L);
      if (block === 1) return splitRight(page, record, touched);
      return writeOpaque32(page, OPAQUE.PREV, blockNumber(record, 1));
    case OPCODE.BTREE.DEDUP:
      return redoDedup(page, record, touched);
    case OPCODE.BTREE.VACUUM:
      return redoDelete(page, record, touched, 0, true);
    case OPCODE.BTREE.DELETE:
      return redoDelete(page, record, touched, 4, false);
    case OPCODE.BTREE.MARK_PAGE_HALFDEAD:
      return block === 0 ? becomeHalfDead(page, record) : removeDownLink(page, record);
    case OPCODE.BTREE.UNLINK_PAGE:
    case OPCODE.BTREE.UNLINK_PAGE_META:
      return redoUnlink(page, record, touched, block);
    case OPCODE.BTREE.NEWROOT:
      return block === 0 ? newRoot(page, record, touched) : restoreMeta(page, record, touched);
    case OPCODE.BTREE.META_CLEANUP:
      return restoreMeta(page, record, touched);
    default:
      throw unknownOpcode(record, block);
  }
}

function initBtreePage(page: Buffer, opaque: { prev: number; next: number; level: number; flags: number }): void {
  initPage(page, OPAQUE_SIZE);
  const at = pageSpecial(page);
  page.writeUInt32LE(opaque.prev, at + OPAQUE.PREV);
  page.writeUInt32LE(opaque.next, at + OPAQUE.NEXT);
  page.writeUInt32LE(opaque.level, at + OPAQUE.LEVEL);
  page.writeUInt16LE(opaque.flags, at + OPAQUE.FLAGS);
}

/** Byte offset of the opaque data. Throws PageLayoutError when the page is no B-tree page. */
function opaqueAt(page: Buffer): number {
  const at = pageSpecial(page);
  if (at !== page.length - OPAQUE_SIZE) throw new PageLayoutError(`special space at ${at} is not a B-tree page's`);
  return at;
}

function writeOpaque32(page: Buffer, field: number, value: number): void {
  page.writeUInt32LE(value, opaqueAt(page) + field);
}

function flagsOf(page: Buffer): number {
  return page.readUInt16LE(opaqueAt(page) + OPAQUE.FLAGS);
}

function setFlags(page: Buffer, flags: number): void {
  page.writeUInt16LE(flags, opaqueAt(page) + OPAQUE.FLAGS);
}

function firstDataKey(page: Buffer): number {
  return page.readUInt32LE(opaqueAt(page) + OPAQUE.NEXT) === P_NONE ? P_HIKEY : P_HIKEY + 1;
}

function blockNumber(record: WalRecord, id: number): number {
  const block = blockById(record, id);
  if (block === undefined) throw new PageLayoutError(`the record has no block ${id}`);
  return block.blockNumber;
}

/**
 * xl_btree_split: 0 level u32, 4 firstrightoff u16, 6 newitemoff u16, 8 postingoff u16. The left page keeps the items
 * before firstrightoff in their physical order. Block data: [new tuple] when it is on the left or splits a posting
 * list, then the left page's new high key.
 */
function splitLeft(page: Buffer, record: WalRecord, touched: TouchedPage, newItemOnLeft: boolean): void {
  const { mainData } = record;
  const { data } = blockOf(record, touched);
  const level = mainData.readUInt32LE(0);
  const firstRight = mainData.readUInt16LE(4);
  const newItemAt = mainData.readUInt16LE(6);
  const postingIndex = mainData.readUInt16LE(8);
  let newItem: Buffer | undefined;
  let replacement: Buffer | undefined;
  let from = 0;
  if (newItemOnLeft || postingIndex !== 0) {
    from = maxAlign(indexTupleSize(data, 0));
    newItem = data.subarray(0, from);
    if (postingIndex !== 0) {
      const swapped = swapPosting(newItem, itemBytes(page, newItemAt - 1), postingIndex);
      newItem = swapped.newTuple;
      replacement = swapped.posting;
    }
  }
  const highKeySize = maxAlign(indexTupleSize(data, from));
  const left = tempPageWithSpecial(page);
  addItem(left, data.subarray(from, from + highKeySize), P_HIKEY, 'shuffle');
  let next = P_HIKEY + 1;
  for (let i = firstDataKey(page); i <= firstRight; i++) {
    // At firstRight itself only a new tuple that ends the left page is added.
    if (newItemOnLeft && i === newItemAt && newItem !== undefined) addItem(left, newItem, next++, 'shuffle');
    if (i === firstRight) break;
    const replaced = i === newItemAt - 1 ? replacement : undefined;
    addItem(left, replaced ?? itemBytes(page, i), next++, 'shuffle');
  }
  restoreTempPage(left, page);
  const at = opaqueAt(page);
  page.writeUInt16LE(BTP_INCOMPLETE_SPLIT | (level === 0 ? BTP_LEAF : 0), at + OPAQUE.FLAGS);
  page.writeUInt32LE(blockNumber(record, 1), at + OPAQUE.NEXT);
  page.writeUInt16LE(0, at + OPAQUE.CYCLE_ID);
}

function splitRight(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const level = record.mainData.readUInt32LE(0);
  initBtreePage(page, {
    prev: blockNumber(record, 0),
    next: blockById(record, 2)?.blockNumber ?? P_NONE,
    level,
    flags: level === 0 ? BTP_LEAF : 0,
  });
  restoreItems(page, blockOf(record, touched).data);
}

/** _bt_restore_page: the item area as it was, lowest address first, which is the highest offset number. */
function restoreItems(page: Buffer, data: Buffer): void {
  const starts: number[] = [];
  for (let at = 0; at < data.length; at += maxAlign(indexTupleSize(data, at))) {
    if (indexTupleSize(data, at) === 0) throw new PageLayoutError('an index tuple in the record has no size');
    starts.push(at);
  }
  let end = data.length;
  for (let i = starts.length - 1; i >= 0; i--) {
    const start = starts[i] ?? 0;
    addItem(page, data.subarray(start, end), starts.length - i, 'shuffle');
    end = start;
  }
}

/** xl_btree_dedup: 0 nintervals u16. Block data: intervals of u16 base offset, u16 number of items to merge. */
function redoDedup(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { data } = blockOf(record, touched);
  const intervals = record.mainData.readUInt16LE(0);
  const merged = tempPageWithSpecial(page);
  const first = firstDataKey(page);
  const count = lineCount(page);
  let next = P_HIKEY;
  if (first > P_HIKEY) addItem(merged, itemBytes(page, P_HIKEY), next++, 'shuffle');
  let interval = 0;
  for (let i = first; i <= count;) {
    const base = itemBytes(page, i);
    if (interval < intervals && data.readUInt16LE(interval * 4) === i) {
      const end = i + data.readUInt16LE(interval * 4 + 2);
      const lists: Buffer[] = [];
      for (; i < end; i++) lists.push(heapPointerBytes(itemBytes(page, i)));
      addItem(merged, formPosting(base, Buffer.concat(lists)), next++, 'shuffle');
      interval++;
    } else {
      addItem(merged, base, next++, 'shuffle');
      i++;
    }
  }
  if (interval !== intervals) throw new PageLayoutError(`${intervals} intervals to merge, ${interval} found on the page`);
  restoreTempPage(merged, page);
  setFlags(page, flagsOf(page) & ~BTP_HAS_GARBAGE);
}

/**
 * xl_btree_vacuum: 0 ndeleted u16, 2 nupdated u16; xl_btree_delete has a snapshot horizon (u32) before them. Block
 * data: deleted offsets, updated offsets, and for each update u16 count with that many u16 indexes into its posting
 * list.
 */
function redoDelete(page: Buffer, record: WalRecord, touched: TouchedPage, countsAt: number, isVacuum: boolean): void {
  const { data } = blockOf(record, touched);
  const deleted = record.mainData.readUInt16LE(countsAt);
  const updated = record.mainData.readUInt16LE(countsAt + 2);
  let at = (deleted + updated) * 2;
  for (let i = 0; i < updated; i++) {
    const offsetNumber = data.readUInt16LE((deleted + i) * 2);
    const doomed = new Set<number>();
    const count = data.readUInt16LE(at);
    at += 2;
    for (let j = 0; j < count; j++, at += 2) doomed.add(data.readUInt16LE(at));
    overwriteIndexItem(page, offsetNumber, withoutPointers(itemBytes(page, offsetNumber), doomed));
  }
  if (deleted > 0) {
    const offsets: number[] = [];
    for (let i = 0; i < deleted; i++) offsets.push(data.readUInt16LE(i * 2));
    deleteIndexItems(page, offsets);
  }
  if (isVacuum) page.writeUInt16LE(0, opaqueAt(page) + OPAQUE.CYCLE_ID);
  setFlags(page, flagsOf(page) & ~BTP_HAS_GARBAGE);
}

/** xl_btree_mark_page_halfdead: 0 poffset u16, 4 leafblk, 8 leftblk, 12 rightblk, 16 topparent (u32 each). */
function becomeHalfDead(page: Buffer, { mainData }: WalRecord): void {
  initBtreePage(page, {
    prev: mainData.readUInt32LE(8),
    next: mainData.readUInt32LE(12),
    level: 0,
    flags: BTP_HALF_DEAD | BTP_LEAF,
  });
  addItem(page, halfDeadHighKey(mainData.readUInt32LE(16)), P_HIKEY, 'shuffle');
}

/** The parent's tuple takes over its right neighbour's child, and the neighbour goes. */
function removeDownLink(page: Buffer, { mainData }: WalRecord): void {
  const offsetNumber = mainData.readUInt16LE(0);
  setDownLink(itemBytes(page, offsetNumber), downLink(itemBytes(page, offsetNumber + 1)));
  deleteIndexItem(page, offsetNumber + 1);
}

/**
 * xl_btree_unlink_page: 0 leftsib, 4 rightsib, 8 level (u32), 16 safexid u64, 24 leafleftsib, 28 leafrightsib,
 * 32 leaftopparent (u32). Block 0 target, 1 left sibling, 2 right sibling, 3 leaf, 4 metapage.
 */
function redoUnlink(page: Buffer, record: WalRecord, touched: TouchedPage, block: number): void {
  const { mainData } = record;
  const left = mainData.readUInt32LE(0);
  const right = mainData.readUInt32LE(4);
  if (block === 1) return writeOpaque32(page, OPAQUE.NEXT, right);
  if (block === 2) return writeOpaque32(page, OPAQUE.PREV, left);
  if (block === 4) return restoreMeta(page, record, touched);
  if (block === 3) {
    initBtreePage(page, {
      prev: mainData.readUInt32LE(24),
      next: mainData.readUInt32LE(28),
      level: 0,
      flags: BTP_HALF_DEAD | BTP_LEAF,
    });
    addItem(page, halfDeadHighKey(mainData.readUInt32LE(32)), P_HIKEY, 'shuffle');
    return;
  }
  const level = mainData.readUInt32LE(8);
  initBtreePage(page, { prev: left, next: right, level, flags: BTP_DELETED | BTP_HAS_FULLXID | (level === 0 ? BTP_LEAF : 0) });
  // BTDeletedPageData: the first xid that no snapshot which could have seen the page still holds.
  mainData.copy(page, PAGE_HEADER_SIZE, 16, 24);
  setPageLower(page, PAGE_HEADER_SIZE + 8);
  setPageUpper(page, pageSpecial(page));
}

/** xl_btree_newroot: 0 rootblk u32, 4 level u32. Block data: its two tuples, unless the root is an empty leaf. */
function newRoot(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const level = record.mainData.readUInt32LE(4);
  initBtreePage(page, { prev: P_NONE, next: P_NONE, level, flags: BTP_ROOT | (level === 0 ? BTP_LEAF : 0) });
  if (level > 0) restoreItems(page, blockOf(record, touched).data);
}

const BTREE_MAGIC = 0x053162;
/** BTMetaPageData, 48 bytes after the page header. */
const META = { MAGIC: 0, VERSION: 4, LAST_CLEANUP_TUPLES: 32, ALL_EQUAL_IMAGE: 40, SIZE: 48 } as const;

/**
 * xl_btree_metadata (block data): 0 version, 4 root, 8 level, 12 fastroot, 16 fastlevel, 20 deleted pages at the last
 * cleanup (u32 each), 24 allequalimage u8. The first six stand in the same order in the metapage.
 */
function restoreMeta(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { data } = blockOf(record, touched);
  initBtreePage(page, { prev: P_NONE, next: P_NONE, level: 0, flags: BTP_META });
  const at = PAGE_HEADER_SIZE;
  page.writeUInt32LE(BTREE_MAGIC, at + META.MAGIC);
  data.copy(page, at + META.VERSION, 0, 24);
  page.writeDoubleLE(-1, at + META.LAST_CLEANUP_TUPLES);
  page.writeUInt8(data.readUInt8(24), at + META.ALL_EQUAL_IMAGE);
  setPageLower(page, at + META.SIZE);
}

/** btree_mask. */
export function btreeMask(page: Buffer): void {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  maskUnusedSpace(page);
  if ((flagsOf(page) & BTP_LEAF) !== 0) maskLineFlags(page);
  setFlags(page, flagsOf(page) & ~(BTP_HAS_GARBAGE | BTP_SPLIT_END));
  page.writeUInt16LE(0, opaqueAt(page) + OPAQUE.CYCLE_ID);
}
