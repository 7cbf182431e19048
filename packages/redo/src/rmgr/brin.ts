import { type BlockRef, decodeStruct, INFO_INIT_PAGE, type Layout, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import {
  addItem,
  deleteIndexItemKeepLine,
  initPage,
  ITEM_POINTER_SIZE,
  maskHintBits,
  maskLsnAndChecksum,
  maskUnusedSpace,
  overwriteIndexItem,
  PAGE_HEADER_SIZE,
  PAGE_SIZE,
  PageLayoutError,
  pageLower,
  setPageLower,
  writeItemPointer,
} from '../page/index.ts';
import { blockNumberOf, INVALID_BLOCK, requireWritten } from './block-data.ts';
import { blockOf, type PageMask, type PageRedo, unknownOpcode } from './resource-manager.ts';

const { BRIN } = OPCODE;

/**
 * Replay of BRIN records (brin/brin_xlog.c). Blocks of each record, by id (i: built anew, 0x80 in info for regular
 * pages):
 *
 *   CREATE_INDEX 0i meta · INSERT 0[i] page, 1 revmap · UPDATE 0[i] new page, 1 revmap, 2 old page
 *   SAMEPAGE_UPDATE 0 page · REVMAP_EXTEND 0 meta, 1i revmap · DESUMMARIZE 0 revmap, 1 page
 *
 * Pages end with 8 bytes of special space, whose last two u16 are flags and page type (access/brin_page.h).
 */
const SPECIAL_SIZE = 8;
const FLAGS_AT = PAGE_SIZE - 4;
const TYPE_AT = PAGE_SIZE - 2;
const TYPE_META = 0xf091;
const TYPE_REVMAP = 0xf092;
const TYPE_REGULAR = 0xf093;
const EVACUATE_PAGE = 0x01;

/** Metapage: BrinMetaPageData, and revmap pages: item pointers, one per page range, both right after the header. */
const CONTENTS_AT = 24;
const META_MAGIC = 0xa8109cfa;
const META_LAST_REVMAP_AT = CONTENTS_AT + 12;
const META_END = CONTENTS_AT + 16;
/** REVMAP_PAGE_MAXITEMS. */
const RANGES_PER_REVMAP_PAGE = Math.floor((PAGE_SIZE - CONTENTS_AT - SPECIAL_SIZE) / ITEM_POINTER_SIZE);

const CREATE_INDEX = {
  pagesPerRange: { type: 'u32', at: 0 },
  version: { type: 'u16', at: 4 },
} as const satisfies Layout;

/** xl_brin_insert; an update has it at byte 4, after the old tuple's u16 offset number. */
const INSERT = {
  heapBlock: { type: 'u32', at: 0 },
  pagesPerRange: { type: 'u32', at: 4 },
  offsetNumber: { type: 'u16', at: 8 },
} as const satisfies Layout;
const UPDATE_INSERT_AT = 4;

const DESUMMARIZE = {
  pagesPerRange: { type: 'u32', at: 0 },
  heapBlock: { type: 'u32', at: 4 },
  offsetNumber: { type: 'u16', at: 8 },
} as const satisfies Layout;

export const brinRedo: PageRedo = (page, record, touched) => {
  const block = blockOf(record, touched);
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  if (op === BRIN.CREATE_INDEX) return initMetaPage(page, record);
  if (op === BRIN.REVMAP_EXTEND && block.id === 1) return initBrinPage(page, TYPE_REVMAP);
  const insertsFirst = (op === BRIN.INSERT || op === BRIN.UPDATE) && block.id === 0 && (record.info & INFO_INIT_PAGE) !== 0;
  if (insertsFirst) initBrinPage(page, TYPE_REGULAR);
  else requireWritten(page);
  switch (op) {
    case BRIN.INSERT:
      return insert(page, record, block, 0);
    case BRIN.UPDATE:
      if (block.id === 2) return deleteIndexItemKeepLine(page, record.mainData.readUInt16LE(0));
      return insert(page, record, block, UPDATE_INSERT_AT);
    case BRIN.SAMEPAGE_UPDATE:
      return overwriteIndexItem(page, record.mainData.readUInt16LE(0), block.data);
    case BRIN.REVMAP_EXTEND:
      return extendRevmap(page, record);
    case BRIN.DESUMMARIZE:
      return desummarize(page, record, block);
    default:
      throw unknownOpcode(record, block.id);
  }
};

function initBrinPage(page: Buffer, type: number): void {
  initPage(page, SPECIAL_SIZE);
  page.writeUInt16LE(type, TYPE_AT);
}

function initMetaPage(page: Buffer, record: WalRecord): void {
  const { pagesPerRange, version } = decodeStruct(CREATE_INDEX, record.mainData);
  initBrinPage(page, TYPE_META);
  page.writeUInt32LE(META_MAGIC, CONTENTS_AT);
  page.writeUInt32LE(version, CONTENTS_AT + 4);
  page.writeUInt32LE(pagesPerRange, CONTENTS_AT + 8);
  setPageLower(page, META_END);
}

/** The tuple goes to block 0; the revmap, block 1, is pointed to it. */
function insert(page: Buffer, record: WalRecord, block: BlockRef, layoutAt: number): void {
  const { heapBlock, pagesPerRange, offsetNumber } = decodeStruct(INSERT, record.mainData, layoutAt);
  if (block.id === 0) return addItem(page, block.data, offsetNumber, 'overwrite');
  writeItemPointer(page, revmapEntryAt(heapBlock, pagesPerRange), blockNumberOf(record, 0), offsetNumber);
}

/** Byte offset of a heap block's entry on the revmap page that covers it. */
function revmapEntryAt(heapBlock: number, pagesPerRange: number): number {
  if (pagesPerRange === 0) throw new PageLayoutError('a BRIN record states zero pages per range');
  const range = Math.floor(heapBlock / pagesPerRange);
  return CONTENTS_AT + (range % RANGES_PER_REVMAP_PAGE) * ITEM_POINTER_SIZE;
}

function extendRevmap(meta: Buffer, record: WalRecord): void {
  meta.writeUInt32LE(record.mainData.readUInt32LE(0), META_LAST_REVMAP_AT);
  // Metapages from before version 11 lack the right pd_lower.
  setPageLower(meta, META_END);
}

function desummarize(page: Buffer, record: WalRecord, block: BlockRef): void {
  const { heapBlock, pagesPerRange, offsetNumber } = decodeStruct(DESUMMARIZE, record.mainData);
  if (block.id === 0) writeItemPointer(page, revmapEntryAt(heapBlock, pagesPerRange), INVALID_BLOCK, 0);
  else deleteIndexItemKeepLine(page, offsetNumber);
}

/** Blanks what may differ between the writer and replay (brin_mask). */
export const brinMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  const type = page.readUInt16LE(TYPE_AT);
  if (type === TYPE_REGULAR || (type === TYPE_META && pageLower(page) > PAGE_HEADER_SIZE)) maskUnusedSpace(page);
  page.writeUInt16LE(page.readUInt16LE(FLAGS_AT) & ~EVACUATE_PAGE, FLAGS_AT);
};
