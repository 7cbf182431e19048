import { encodeStruct } from '@kube-aurora/pg-format';
import { initPage, PageLayoutError, setPageLower } from '../../page/index.ts';
import { INVALID_BLOCK } from '../block-data.ts';
import {
  HASH_CONTENTS_AT,
  HASH_MAGIC,
  HASH_OPAQUE,
  HASH_PAGE_ID,
  HASH_SPECIAL_AT,
  HASH_SPECIAL_SIZE,
  HASH_VERSION,
  INVALID_BUCKET,
  LH_BITMAP_PAGE,
  LH_META_PAGE,
  META,
} from './layout.ts';

/** Building and reading whole hash pages (hash/hashpage.c, hash/hashovfl.c). */

export function hashFlags(page: Buffer): number {
  return page.readUInt16LE(HASH_SPECIAL_AT + HASH_OPAQUE.flags.at);
}

export function setHashFlags(page: Buffer, flags: number): void {
  page.writeUInt16LE(flags, HASH_SPECIAL_AT + HASH_OPAQUE.flags.at);
}

export function setPrevBlock(page: Buffer, block: number): void {
  page.writeUInt32LE(block, HASH_SPECIAL_AT + HASH_OPAQUE.prevBlock.at);
}

export function setNextBlock(page: Buffer, block: number): void {
  page.writeUInt32LE(block, HASH_SPECIAL_AT + HASH_OPAQUE.nextBlock.at);
}

/** An empty page of the given kind. A bucket's `prevBlock` holds the highest bucket at the time it was made. */
export function initHashPage(page: Buffer, flags: number, bucket: number, prevBlock: number): void {
  initPage(page, HASH_SPECIAL_SIZE);
  const opaque = { prevBlock, nextBlock: INVALID_BLOCK, bucket, flags, pageId: HASH_PAGE_ID };
  encodeStruct(HASH_OPAQUE, opaque, page, HASH_SPECIAL_AT);
}

/** A bitmap page with every overflow page marked as in use. */
export function initBitmapPage(page: Buffer, bitmapBytes: number): void {
  initHashPage(page, LH_BITMAP_PAGE, INVALID_BUCKET, INVALID_BLOCK);
  if (HASH_CONTENTS_AT + bitmapBytes > HASH_SPECIAL_AT) {
    throw new PageLayoutError(`a bitmap of ${bitmapBytes} bytes does not fit a page`);
  }
  page.fill(0xff, HASH_CONTENTS_AT, HASH_CONTENTS_AT + bitmapBytes);
  setPageLower(page, HASH_CONTENTS_AT + bitmapBytes);
}

/** Sets or clears one bit of a bitmap page. */
export function setBitmapBit(page: Buffer, bit: number, inUse: boolean): void {
  const at = HASH_CONTENTS_AT + (bit >>> 3);
  if (at >= HASH_SPECIAL_AT) throw new PageLayoutError(`bitmap bit ${bit} lies beyond the page`);
  const mask = 1 << (bit & 7);
  const byte = page.readUInt8(at);
  page.writeUInt8(inUse ? byte | mask : byte & ~mask, at);
}

/** A new index's metapage: as many buckets as the expected tuples need at the fill factor, at least two. */
export function initMetaPage(page: Buffer, tuples: number, procedure: number, fillFactor: number): void {
  const buckets = initialBuckets(tuples / fillFactor);
  const spareIndex = spareIndexOf(buckets);
  initHashPage(page, LH_META_PAGE, INVALID_BUCKET, INVALID_BLOCK);
  const at = HASH_CONTENTS_AT;
  const pageBytes = HASH_SPECIAL_AT - HASH_CONTENTS_AT;
  const bitmapBytesLog2 = 31 - Math.clz32(pageBytes);
  const highMask = nextPowerOfTwo(buckets + 1) - 1;
  page.writeUInt32LE(HASH_MAGIC, at + META.magic);
  page.writeUInt32LE(HASH_VERSION, at + META.version);
  page.writeDoubleLE(0, at + META.tuples);
  page.writeUInt16LE(fillFactor, at + META.fillFactor);
  page.writeUInt16LE(pageBytes, at + META.pageBytes);
  page.writeUInt16LE(1 << bitmapBytesLog2, at + META.bitmapBytes);
  page.writeUInt16LE(bitmapBytesLog2 + 3, at + META.bitmapShift);
  page.writeUInt32LE(buckets - 1, at + META.maxBucket);
  page.writeUInt32LE(highMask, at + META.highMask);
  page.writeUInt32LE(Math.floor(highMask / 2), at + META.lowMask);
  page.writeUInt32LE(spareIndex, at + META.overflowPoint);
  page.writeUInt32LE(procedure, at + META.procedure);
  page.writeUInt32LE(1, at + META.spares + spareIndex * 4);
  setPageLower(page, at + META.size);
}

/** Split points up to this group have one phase, later ones four (HASH_SPLITPOINT_GROUPS_WITH_ONE_PHASE). */
const SINGLE_PHASE_GROUPS = 10;

function initialBuckets(wanted: number): number {
  if (wanted <= 2) return 2;
  if (wanted >= 0x4000_0000) return 0x4000_0000;
  return bucketsUpTo(spareIndexOf(Math.floor(wanted)));
}

/** _hash_spareindex: the split point phase that bucket number `buckets - 1` belongs to. */
function spareIndexOf(buckets: number): number {
  const group = ceilLog2(buckets);
  if (group < SINGLE_PHASE_GROUPS) return group;
  return SINGLE_PHASE_GROUPS + (group - SINGLE_PHASE_GROUPS) * 4 + (((buckets - 1) >>> (group - 3)) & 3);
}

/** _hash_get_totalbuckets: how many buckets there are once the given phase is allocated. */
function bucketsUpTo(phase: number): number {
  if (phase < SINGLE_PHASE_GROUPS) return 2 ** phase;
  const group = SINGLE_PHASE_GROUPS + ((phase - SINGLE_PHASE_GROUPS) >>> 2);
  const before = 2 ** (group - 1);
  return before + (before / 4) * (((phase - SINGLE_PHASE_GROUPS) & 3) + 1);
}

function ceilLog2(value: number): number {
  return value <= 1 ? 0 : 32 - Math.clz32(value - 1);
}

function nextPowerOfTwo(value: number): number {
  return 2 ** ceilLog2(value);
}
