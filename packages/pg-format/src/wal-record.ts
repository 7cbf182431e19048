import type { Lsn } from './lsn.ts';

/** A relation fork's place: RelFileLocator (storage/relfilelocator.h) and ForkNumber (common/relpath.h). */
export interface RelFork {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  /** 0 main, 1 free-space map, 2 visibility map, 3 init. */
  readonly fork: number;
}

/** A full-page image as it stands in a record (access/xlogrecord.h, XLogRecordBlockImageHeader). */
export interface BlockImage {
  /** As stored: without its hole, possibly compressed. */
  readonly data: Buffer;
  readonly holeOffset: number;
  readonly holeLength: number;
  /** BKPIMAGE_APPLY: redo must restore it. Without it the image serves consistency checks only. */
  readonly apply: boolean;
  readonly compression: 'none' | 'pglz' | 'lz4' | 'zstd';
}

/** One registered block of a record (XLogRecordBlockHeader). */
export interface BlockRef extends RelFork {
  /** The id it was registered under, 0..32. */
  readonly id: number;
  readonly blockNumber: number;
  readonly willInit: boolean;
  readonly image: BlockImage | undefined;
  /** Empty when none was registered. */
  readonly data: Buffer;
}

/** One WAL record, decoded (XLogRecord and what follows it). Buffers are views into `raw`. */
export interface WalRecord {
  readonly lsn: Lsn;
  /**
   * EndRecPtr: 8-aligned end. A record that ends at a page boundary stays there. XLOG_SWITCH ends at its segment's end.
   */
  readonly endLsn: Lsn;
  /** Start of the record before it (xl_prev). */
  readonly prev: Lsn;
  readonly xid: number;
  readonly rmid: number;
  /** The whole info byte; the high nibble is the resource manager's opcode. */
  readonly info: number;
  readonly crc: number;
  readonly blocks: readonly BlockRef[];
  readonly mainData: Buffer;
  readonly origin: number | undefined;
  readonly topLevelXid: number | undefined;
  /** tot_len bytes without page headers, as PostgreSQL wrote them. */
  readonly raw: Buffer;
}
