import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { initPage, PAGE_HEADER_SIZE, PageLayoutError, pageSpecial, setPageLower, setPageUpper } from '../page/header.ts';
import { addItem, deleteIndexItem } from '../page/items.ts';
import { itemBytes } from '../page/line-pointer.ts';
import { maskHintBits, maskLineFlags, maskLsnAndChecksum, maskUnusedSpace } from '../page/mask.ts';
import { downLink, halfDeadHighKey, setDownLink } from './btree-tuple.ts';
import { blockOf, opcode, unknownOpcode } from './resource-manager.ts';

/** B-tree records (access/nbtxlog.h). */

/** BTPageOpaqueData in the special space: 0 prev u32, 4 next u32, 8 level u32, 12 flags u16, 14 cycle id u16. */
const OPAQUE_SIZE = 16;
const OPAQUE = { PREV: 0, NEXT: 4, LEVEL: 8, FLAGS: 12, CYCLE_ID: 14 } as const;

const BTP_LEAF = 0x001;
const BTP_DELETED = 0x004;
const BTP_META = 0x008;
const BTP_HALF_DEAD = 0x010;
const BTP_SPLIT_END = 0x020;
const BTP_HAS_GARBAGE = 0x040;
const BTP_HAS_FULLXID = 0x100;

const P_NONE = 0;
const P_HIKEY = 1;

/**
 * What is left of B-tree's records, of the metapage and of pages that are deleted: the others are redone in C (../../native/btree.c). Which part
 * of the record a block is, by opcode: the ids of access/nbtxlog.h's comments.
 */
export function btreeRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const block = blockOf(record, touched).id;
  switch (opcode(record)) {
    case OPCODE.BTREE.MARK_PAGE_HALFDEAD:
      return block === 0 ? becomeHalfDead(page, record) : removeDownLink(page, record);
    case OPCODE.BTREE.UNLINK_PAGE:
    case OPCODE.BTREE.UNLINK_PAGE_META:
      return redoUnlink(page, record, touched, block);
    case OPCODE.BTREE.INSERT_META:
    case OPCODE.BTREE.NEWROOT:
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
