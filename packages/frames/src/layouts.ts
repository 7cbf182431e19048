import { layout, raw, u16, u32, u48, u64, u8 } from './layout.ts';

/**
 * Every layout of the protocol: proto/frames.md has the same tables with what the fields mean, and a test holds the two
 * together.
 */
export const LAYOUTS = {
  /** The first bytes of either side. These fields stay where they are in every version. */
  hello: layout({
    magic: raw(8),
    version: u16,
    versionMin: u16,
    features: u32,
    heartbeatMs: u32,
    streamsMax: u32,
    windowBytes: u32,
  }),
  /** Before every frame's payload. */
  frame: layout({ length: u32, stream: u48, type: u8, flags: u8 }),
  /** OPEN; the stream's first message follows. */
  open: layout({ kind: u8, reserved: raw(3), deadlineMs: u32 }),
  /** ERROR; text follows. */
  error: layout({ code: u8 }),
  /** WINDOW. */
  window: layout({ bytes: u32 }),
  /** GOODBYE; text follows. */
  goodbye: layout({ reason: u8 }),

  /** The message that opens an Append stream; `historyCount` entries and the writer's id follow. */
  appendHello: layout({
    volumeId: raw(16),
    pg: u32,
    epoch: u64,
    vdl: u64,
    pgmrpl: u64,
    historyCount: u16,
    writerIdBytes: u16,
    role: u8,
  }),
  historyEntry: layout({ epoch: u64, startLsn: u64 }),
  /** Redo for an Append stream; batches follow, back to back, or nothing. */
  append: layout({ vdl: u64, pgmrpl: u64 }),
  /** What a segment says on an Append stream; text follows. */
  acknowledgement: layout({ scl: u64, epoch: u64, result: u8, followed: u8 }),
  /** The message that opens a GetPages stream; `keyCount` keys follow, each after its length. */
  getPages: layout({ volumeId: raw(16), pg: u32, epoch: u64, lsn: u64, keyCount: u16 }),
  pageKey: layout({ length: u16 }),
  /** Pages; one byte for each key, and then the pages, follow. */
  pages: layout({ keyCount: u16 }),
  /** The answer to RenewLease; a LeaseAnswer of segment.proto follows. */
  renewed: layout({ granted: u8 }),
  /** The message that opens a Follow stream; the reader's id follows. */
  followHello: layout({ volumeId: raw(16), pg: u32, takenLsn: u64, readFloor: u64, wants: u8, readerIdBytes: u16, promotionTier: u8 }),
  /** What a reader says on a Follow stream. */
  follow: layout({ takenLsn: u64, readFloor: u64, xmin: u64, catalogXmin: u64 }),
  /** What a segment says on a Follow stream; redo batches follow, back to back, or nothing. */
  followed: layout({ vdl: u64, writerEpoch: u64, writerSilentMs: u32, writerFlags: u8 }),
} as const;
