import type { Layout } from '@kube-aurora/pg-format';
import { PAGE_SIZE } from '../../page/index.ts';

/**
 * Hash index pages and records (access/hash.h, access/hash_xlog.h). Every page ends with 16 bytes of
 * HashPageOpaqueData; the metapage and bitmap pages hold their data right after the page header, at byte 24.
 */
export const HASH_SPECIAL_SIZE = 16;
export const HASH_SPECIAL_AT = PAGE_SIZE - HASH_SPECIAL_SIZE;
/** PageGetContents: HashMetaPageData, or the bitmap's bits. */
export const HASH_CONTENTS_AT = 24;

export const HASH_OPAQUE = {
  prevBlock: { type: 'u32', at: 0 },
  nextBlock: { type: 'u32', at: 4 },
  bucket: { type: 'u32', at: 8 },
  flags: { type: 'u16', at: 12 },
  pageId: { type: 'u16', at: 14 },
} as const satisfies Layout;

export const HASH_PAGE_ID = 0xff80;
export const INVALID_BUCKET = 0xffff_ffff;

export const LH_UNUSED_PAGE = 0;
export const LH_OVERFLOW_PAGE = 0x01;
export const LH_BUCKET_PAGE = 0x02;
export const LH_BITMAP_PAGE = 0x04;
export const LH_META_PAGE = 0x08;
export const LH_PAGE_TYPE = LH_OVERFLOW_PAGE | LH_BUCKET_PAGE | LH_BITMAP_PAGE | LH_META_PAGE;
export const LH_BUCKET_NEEDS_SPLIT_CLEANUP = 0x40;
export const LH_PAGE_HAS_DEAD_TUPLES = 0x80;

/** Byte offsets of HashMetaPageData's fields from {@link HASH_CONTENTS_AT}. */
export const META = {
  magic: 0,
  version: 4,
  tuples: 8,
  fillFactor: 16,
  pageBytes: 18,
  bitmapBytes: 20,
  bitmapShift: 22,
  maxBucket: 24,
  highMask: 28,
  lowMask: 32,
  overflowPoint: 36,
  firstFree: 40,
  bitmaps: 44,
  procedure: 48,
  spares: 52,
  bitmapBlocks: 444,
  size: 4544,
} as const;

export const HASH_MAX_SPLITPOINTS = 98;
export const HASH_MAX_BITMAPS = 1024;
export const HASH_MAGIC = 0x6440640;
export const HASH_VERSION = 4;

export const INIT_META = {
  tuples: { type: 'f64', at: 0 },
  procedure: { type: 'u32', at: 8 },
  fillFactor: { type: 'u16', at: 12 },
} as const satisfies Layout;

export const ADD_OVERFLOW = {
  bitmapBytes: { type: 'u16', at: 0 },
  bitmapPageFound: { type: 'bool', at: 2 },
} as const satisfies Layout;

export const SPLIT_ALLOCATE = {
  newBucket: { type: 'u32', at: 0 },
  oldBucketFlags: { type: 'u16', at: 4 },
  newBucketFlags: { type: 'u16', at: 6 },
  flags: { type: 'u8', at: 8 },
} as const satisfies Layout;
export const SPLIT_UPDATES_MASKS = 0x01;
export const SPLIT_UPDATES_SPLITPOINT = 0x02;

export const MOVE_CONTENTS = {
  tuples: { type: 'u16', at: 0 },
  primaryIsWritten: { type: 'bool', at: 2 },
} as const satisfies Layout;

export const SQUEEZE = {
  prevBlock: { type: 'u32', at: 0 },
  nextBlock: { type: 'u32', at: 4 },
  tuples: { type: 'u16', at: 8 },
  primaryIsWritten: { type: 'bool', at: 10 },
  previousIsWritten: { type: 'bool', at: 11 },
} as const satisfies Layout;

/** xl_hash_vacuum_one_page; the offset numbers follow at byte 8. */
export const VACUUM_ONE = {
  conflictHorizon: { type: 'u32', at: 0 },
  tuples: { type: 'u16', at: 4 },
} as const satisfies Layout;
export const VACUUM_ONE_OFFSETS_AT = 8;
