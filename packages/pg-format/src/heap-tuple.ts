import type { Layout } from './struct.ts';

/** HeapTupleHeaderData (access/htup_details.h); the null bitmap follows at byte 23, the data at t_hoff. */
export const HEAP_TUPLE_HEADER = {
  xmin: { type: 'u32', at: 0 },
  xmax: { type: 'u32', at: 4 },
  /** t_cid, or t_xvac of old. */
  field3: { type: 'u32', at: 8 },
  /** t_ctid: block number as two u16, the high half first, then the offset number. */
  ctidBlockHigh: { type: 'u16', at: 12 },
  ctidBlockLow: { type: 'u16', at: 14 },
  ctidOffset: { type: 'u16', at: 16 },
  infomask2: { type: 'u16', at: 18 },
  infomask: { type: 'u16', at: 20 },
  hoff: { type: 'u8', at: 22 },
} as const satisfies Layout;
/** SizeofHeapTupleHeader. */
export const HEAP_TUPLE_HEADER_BYTES = 23;

/** t_infomask. */
export const HEAP_INFOMASK = {
  HASNULL: 0x0001,
  HASVARWIDTH: 0x0002,
  HASEXTERNAL: 0x0004,
  XMAX_KEYSHR_LOCK: 0x0010,
  COMBOCID: 0x0020,
  XMAX_EXCL_LOCK: 0x0040,
  XMAX_LOCK_ONLY: 0x0080,
  XMIN_COMMITTED: 0x0100,
  XMIN_INVALID: 0x0200,
  XMAX_COMMITTED: 0x0400,
  XMAX_INVALID: 0x0800,
  XMAX_IS_MULTI: 0x1000,
  UPDATED: 0x2000,
  MOVED_OFF: 0x4000,
  MOVED_IN: 0x8000,
  /** MOVED_OFF and MOVED_IN. */
  MOVED: 0xc000,
  /** What is cleared before xmax is set again. */
  XMAX_BITS: 0x1cd0,
} as const;

/** t_infomask2. */
export const HEAP_INFOMASK2 = {
  NATTS_MASK: 0x07ff,
  KEYS_UPDATED: 0x2000,
  HOT_UPDATED: 0x4000,
  ONLY_TUPLE: 0x8000,
} as const;

export const FIRST_COMMAND_ID = 0;
export const INVALID_BLOCK_NUMBER = 0xffff_ffff;
