import type { Lsn } from './lsn.ts';
import { WAL_LONG_HEADER_BYTES, WAL_PAGE_BYTES, WAL_SEGMENT_BYTES, WAL_SHORT_HEADER_BYTES } from './wal-layout.ts';

/**
 * Arithmetic on WAL positions: where records start and end, given that pages carry headers. Offsets within a segment
 * are plain numbers; only their sum with the segment's start is a bigint.
 */

const SEGMENT_MASK = BigInt(WAL_SEGMENT_BYTES - 1);
const SEGMENT = BigInt(WAL_SEGMENT_BYTES);

/**
 * Below it sums of a position and a record's length are exact as numbers, which are several times faster than bigints.
 */
const EXACT_MAX = 2 ** 52;

/** Bytes of records that fit a page that is not its segment's first. */
const SHORT_PAGE_USABLE = WAL_PAGE_BYTES - WAL_SHORT_HEADER_BYTES;
const LONG_PAGE_USABLE = WAL_PAGE_BYTES - WAL_LONG_HEADER_BYTES;
/** Bytes of records that fit a segment. */
const SEGMENT_USABLE = BigInt(LONG_PAGE_USABLE + (WAL_SEGMENT_BYTES / WAL_PAGE_BYTES - 1) * SHORT_PAGE_USABLE);

export function offsetInSegment(position: Lsn): number {
  return Number(position & SEGMENT_MASK);
}

export function segmentStart(position: Lsn): Lsn {
  return (position & ~SEGMENT_MASK) as Lsn;
}

/** Header bytes of the page that starts at `offset`, counted from any segment's start. */
export function pageHeaderBytes(offset: number): number {
  return offset % WAL_SEGMENT_BYTES === 0 ? WAL_LONG_HEADER_BYTES : WAL_SHORT_HEADER_BYTES;
}

/** Name of the file in pg_wal that holds `position` (XLogFileName): timeline, then the segment number in two parts. */
export function walSegmentFileName(timeline: number, position: Lsn): string {
  const segment = position / SEGMENT;
  const perLogId = 0x1_0000_0000n / SEGMENT;
  return [BigInt(timeline), segment / perLogId, segment % perLogId]
    .map((part) => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('');
}

/** Inverse of {@link walSegmentFileName}; undefined for other files of pg_wal (history, partial, directories). */
export function parseWalSegmentFileName(name: string): { timeline: number; lsn: Lsn } | undefined {
  const match = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name);
  if (match === null) return undefined;
  const segment = BigInt(`0x${match[2]}`) * (0x1_0000_0000n / SEGMENT) + BigInt(`0x${match[3]}`);
  return { timeline: Number.parseInt(match[1] ?? '', 16), lsn: (segment * SEGMENT) as Lsn };
}

/**
 * Where a record goes that follows one ending at `end`: `end` itself, or past the page header when at a page's start.
 */
export function recordStart(end: Lsn): Lsn {
  const offset = offsetInSegment(end);
  return offset % WAL_PAGE_BYTES === 0 ? ((end + BigInt(pageHeaderBytes(offset))) as Lsn) : end;
}

/**
 * EndRecPtr of a record of `totalLength` bytes (tot_len) that starts at `start`: rounded up to 8, page headers in
 * between counted. A record that ends with its page ends at the next page's start. XLOG_SWITCH runs to its segment's
 * end.
 */
export function recordEndLsn(start: Lsn, totalLength: number, isSwitch: boolean): Lsn {
  const exact = Number(start);
  if (exact < EXACT_MAX) {
    const offset = exact % WAL_SEGMENT_BYTES;
    return BigInt(exact - offset + recordEndOffset(offset, totalLength, isSwitch)) as Lsn;
  }
  const offset = offsetInSegment(start);
  const end = recordEndOffset(offset, totalLength, isSwitch);
  return (start + BigInt(end - offset)) as Lsn;
}

/** {@link recordEndLsn} on offsets from any segment's start. */
export function recordEndOffset(offset: number, totalLength: number, isSwitch: boolean): number {
  let left = (totalLength + 7) & ~7;
  let end = offset;
  const room = WAL_PAGE_BYTES - (offset % WAL_PAGE_BYTES);
  if (left <= room) {
    end += left;
  } else {
    left -= room;
    end += room;
    for (;;) {
      const header = pageHeaderBytes(end);
      if (left <= WAL_PAGE_BYTES - header) {
        end += header + left;
        break;
      }
      left -= WAL_PAGE_BYTES - header;
      end += WAL_PAGE_BYTES;
    }
  }
  return isSwitch ? Math.ceil(end / WAL_SEGMENT_BYTES) * WAL_SEGMENT_BYTES : end;
}

/**
 * Position counted in bytes of records alone, without page headers (xlog.c calls it "usable byte position"). Lengths
 * can be added to and taken from it. A page's start counts as the position after its header.
 */
export function toBytePosition(position: Lsn): bigint {
  const offset = offsetInSegment(position);
  const page = Math.floor(offset / WAL_PAGE_BYTES);
  const inPage = offset % WAL_PAGE_BYTES;
  const before = page === 0 ? 0 : LONG_PAGE_USABLE + (page - 1) * SHORT_PAGE_USABLE;
  const within = inPage === 0 ? 0 : inPage - pageHeaderBytes(offset - inPage);
  return (position / SEGMENT) * SEGMENT_USABLE + BigInt(before + within);
}

/**
 * Inverse of {@link toBytePosition}. Between two pages a position is both the end of one and, past the header, the
 * start of the next: `as` says which is wanted.
 */
export function fromBytePosition(bytePosition: bigint, as: 'start' | 'end'): Lsn {
  const segment = (bytePosition / SEGMENT_USABLE) * SEGMENT;
  const left = Number(bytePosition % SEGMENT_USABLE);
  if (left < LONG_PAGE_USABLE) {
    return (segment + BigInt(left === 0 && as === 'end' ? 0 : WAL_LONG_HEADER_BYTES + left)) as Lsn;
  }
  const page = 1 + Math.floor((left - LONG_PAGE_USABLE) / SHORT_PAGE_USABLE);
  const within = (left - LONG_PAGE_USABLE) % SHORT_PAGE_USABLE;
  const inPage = within === 0 && as === 'end' ? 0 : WAL_SHORT_HEADER_BYTES + within;
  return (segment + BigInt(page * WAL_PAGE_BYTES + inPage)) as Lsn;
}
