import { layout, u32, u64 } from '@kube-aurora/frames';

/** The longest message that the thread takes; MESSAGE_BYTES_MAX of native/layout.h. It is less than half of a stream's window: its rest can always come. */
export const LANE_MESSAGE_BYTES_MAX = 320 * 1024;

/** A message of an Append stream that the thread has taken: its batches are on disk, and acknowledged. */
export interface TakenAppend {
  readonly stream: number;
  readonly vdl: bigint;
  readonly pgmrpl: bigint;
  /** Back to back; a view, of use only while it is told. Empty: it said what is durable and read alone. */
  readonly batches: Buffer;
  /** Of its frames' payloads, and how many frames these are. */
  readonly frameBytes: number;
  readonly frames: number;
  /** Milliseconds of the write and sync that brought it to disk, told with the last message of several; 0 with the others. */
  readonly syncMs: number;
  /** Seconds from its arrival to its acknowledgement. */
  readonly waitSeconds: number;
  /** The disk failed under it: nothing of it was acknowledged, and what the disk has past the chain's end is unknown. 0: it did not. */
  readonly errno: number;
  /** So far behind that message's batches the file is filled with zeros, told as `syncMs` is. */
  readonly aheadBytes: number;
}

/** As native/layout.h writes it (`taken_*`), before the batches. */
export const TAKEN = layout({
  stream: u64,
  vdl: u64,
  pgmrpl: u64,
  bytes: u32,
  frameBytes: u32,
  syncUs: u32,
  waitUs: u32,
  errno: u32,
  aheadBytes: u32,
  frames: u32,
});

/** Everything in what the thread has told. */
export function* takenIn(told: Buffer): Generator<TakenAppend, void, undefined> {
  for (let at = 0; at < told.length;) {
    const from = at + TAKEN.size;
    const to = from + TAKEN.bytes.get(told, at);
    yield {
      stream: Number(TAKEN.stream.get(told, at)),
      vdl: TAKEN.vdl.get(told, at),
      pgmrpl: TAKEN.pgmrpl.get(told, at),
      batches: told.subarray(from, to),
      frameBytes: TAKEN.frameBytes.get(told, at),
      syncMs: TAKEN.syncUs.get(told, at) / 1000,
      waitSeconds: TAKEN.waitUs.get(told, at) / 1_000_000,
      errno: TAKEN.errno.get(told, at),
      aheadBytes: TAKEN.aheadBytes.get(told, at),
      frames: TAKEN.frames.get(told, at),
    };
    at = to;
  }
}
