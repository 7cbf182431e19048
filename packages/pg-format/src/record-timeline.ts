import { recordCrc } from './build-record.ts';
import { CHECKPOINT, CHECKPOINT_BYTES } from './checkpoint.ts';
import { OPCODE, RMGR } from './rmgr.ts';
import { BLOCK_ID, RECORD_HEADER, RECORD_HEADER_BYTES } from './wal-layout.ts';

/** Rest of info: flags that any record may have. */
const OPCODE_MASK = 0xf0;
/** The main data of these records has a header of two bytes, for it is short, and nothing stands before it. */
const DATA_AT = RECORD_HEADER_BYTES + 2;

/** Where a record's main data names its timeline and the one before; both u32. */
interface NamesTimeline {
  readonly dataBytes: number;
  readonly timelineAt: number;
  readonly prevTimelineAt: number;
}

const IN_CHECKPOINT: NamesTimeline = {
  dataBytes: CHECKPOINT_BYTES,
  timelineAt: CHECKPOINT.timeline.at,
  prevTimelineAt: CHECKPOINT.prevTimeline.at,
};

/** Every record of PostgreSQL 18 that names a timeline. */
const NAMES: ReadonlyMap<number, NamesTimeline> = new Map([
  [OPCODE.XLOG.CHECKPOINT_SHUTDOWN, IN_CHECKPOINT],
  [OPCODE.XLOG.CHECKPOINT_ONLINE, IN_CHECKPOINT],
  // xl_end_of_recovery: 0 time i64, 8 timeline u32, 12 the one before u32, 16 wal_level i32, 20 nothing, up to a multiple of 8.
  [OPCODE.XLOG.END_OF_RECOVERY, { dataBytes: 24, timelineAt: 8, prevTimelineAt: 12 }],
]);

/**
 * The record [start, start + length) of `bytes`, a whole one, with `timeline` for the timeline that it names and for the one
 * before it, and the CRC that belongs to it: as long as before, and nothing else of it is another. Undefined for a record that
 * names none, which nearly all do, or names `timeline` already.
 *
 * Why anybody wants that: a PostgreSQL that is promoted goes on on a timeline of its own, since another might go on on the
 * old one. A volume has one writer at a time, and one timeline: who replays its redo insists that no record names another.
 */
export function recordOnTimeline(bytes: Buffer, start: number, length: number, timeline: number): Buffer | undefined {
  if (bytes[start + RECORD_HEADER.rmid.at] !== RMGR.XLOG) return undefined;
  const names = NAMES.get((bytes[start + RECORD_HEADER.info.at] ?? 0) & OPCODE_MASK);
  if (names === undefined) return undefined;
  const { dataBytes, timelineAt, prevTimelineAt } = names;
  const isWhole = length === DATA_AT + dataBytes && bytes[start + RECORD_HEADER_BYTES] === BLOCK_ID.DATA_SHORT;
  if (!isWhole || bytes[start + RECORD_HEADER_BYTES + 1] !== dataBytes)
    throw new RangeError(`a record that names a timeline has ${length} bytes, ${DATA_AT + dataBytes} are due`);
  const at = [timelineAt, prevTimelineAt].map((one) => DATA_AT + one);
  if (at.every((one) => bytes.readUInt32LE(start + one) === timeline)) return undefined;
  const raw = Buffer.from(bytes.subarray(start, start + length));
  for (const one of at) raw.writeUInt32LE(timeline, one);
  raw.writeUInt32LE(recordCrc(raw), RECORD_HEADER.crc.at);
  return raw;
}
