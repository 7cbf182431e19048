/**
 * What of an earlier PostgreSQL's data directory goes on in the next one, beside what the volume has: replication slots with the
 * WAL that they need, and statistics.
 *
 * Invariants:
 * - it goes on only where the volume's log up to X is in the old directory, byte for byte (written-directory.ts): no slot ever
 *   reads WAL that the volume has not, and none misses a record between where it stood and X;
 * - a slot goes on with all WAL from its restart LSN up to X, or not at all;
 * - a slot that does not go on is named, with the reason.
 */
import { closeSync, openSync, readdirSync, readSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  formatLsn,
  lsn,
  offsetInSegment,
  parseWalSegmentFileName,
  segmentStart,
  WAL_PAGE_BYTES,
  WAL_SEGMENT_BYTES,
  walSegmentFileName,
  type Lsn,
} from '@kube-aurora/pg-format';
import { readReplicationSlots, type ReplicationSlot } from './replication-slots.ts';

/** SNAPSHOT: `LSN-LSN.snap`, as in 0-15D68A8.snap (replication/logical/snapbuild.c). */
const SNAPSHOT = /^([0-9A-F]{1,8})-([0-9A-F]{1,8})\.snap$/;
/** MAPPING: `map-DB-REL-LSN_LSN-XID-XID` (access/rewriteheap.h). */
const MAPPING = /^map-[0-9a-f]+-[0-9a-f]+-([0-9A-F]{1,8})_([0-9A-F]{1,8})-[0-9a-f]+-[0-9a-f]+$/;

export interface LostSlot {
  readonly name: string;
  readonly why: string;
}

export interface CarriedOver {
  /** Replication slots that go on. */
  readonly slots: readonly string[];
  readonly lost: readonly LostSlot[];
  readonly hasStatistics: boolean;
}

export const NOTHING_CARRIED: CarriedOver = { slots: [], lost: [], hasStatistics: false };

/** WAL of a directory that is the volume's. */
export interface WrittenWal {
  /** From here on; undefined: all that there is. */
  readonly fromLsn?: Lsn | undefined;
  /** It was a reader's up to `lsn`; from there on its WAL is of this timeline, which is not the volume's. */
  readonly promoted?: { readonly lsn: Lsn; readonly timeline: number };
}

export interface CarryOver {
  /** The old data directory; its PostgreSQL is dead. */
  readonly from: string;
  /** The new one, with everything else in it. */
  readonly to: string;
  /** X, where the new one's WAL begins, and of the old one's what is the volume's up to there; undefined: nothing goes on. */
  readonly carries: { readonly upTo: Lsn; readonly wal: WrittenWal } | undefined;
  /** The new one is a reader's, which keeps slots up with the writer's. */
  readonly isReaders: boolean;
  /** Of the volume's WAL. */
  readonly timeline: number;
  /** Makes a directory, and a file in it, of the new one. */
  readonly directory: (name: string) => void;
  readonly file: (name: string, bytes: Buffer) => void;
}

/** Carries over what can be. Throws only when a slot's own file cannot be written. */
export function carryOver(options: CarryOver): CarriedOver {
  const { from, carries, isReaders, directory, file } = options;
  const { slots, unreadable } = readReplicationSlots(from);
  if (carries === undefined) {
    const why =
      'the files of this compute are not known to have all of the log: another one wrote since, it was a reader, or its agent began anew';
    // Whether one that readers keep up with is lost, the writer knows; this compute makes another like it.
    const lost = isReaders ? slots.filter(({ isFailover }) => !isFailover) : slots;
    return { ...NOTHING_CARRIED, lost: [...lost.map(({ name }) => ({ name, why })), ...unreadable] };
  }
  const carried: Carried = { ...options, ...carries };
  let hasStatistics = false;
  let { sound, lost } = { sound: slots, lost: [] as readonly LostSlot[] };
  try {
    hasStatistics = carryStatistics(options);
    ({ sound, lost } = judgeSlots(slots, carried));
    if (sound.length > 0) carryWhatTheyNeed(carried, sound);
  } catch (error) {
    const why = `its files could not be taken over: ${error instanceof Error ? error.message : String(error)}`;
    [sound, lost] = [[], slots.map(({ name }) => ({ name, why }))];
  }
  // Last: until then nothing of them would be found.
  for (const { name, bytes } of sound) {
    directory(`pg_replslot/${name}`);
    file(`pg_replslot/${name}/state`, bytes);
  }
  return { slots: sound.map(({ name }) => name), lost: [...lost, ...unreadable], hasStatistics };
}

type Carried = CarryOver & NonNullable<CarryOver['carries']>;

function carryWhatTheyNeed(carried: Carried, slots: readonly ReplicationSlot[]): void {
  const oldest = slots.reduce(
    (least, { restartLsn }) => (restartLsn !== undefined && restartLsn < least ? restartLsn : least),
    carried.upTo,
  );
  carryWal(carried, oldest);
  carryDecoding(carried, 'pg_logical/snapshots', SNAPSHOT);
  carryDecoding(carried, 'pg_logical/mappings', MAPPING);
}

/** Those whose WAL is there as a whole, and the others. */
function judgeSlots(slots: readonly ReplicationSlot[], carried: Carried): { sound: readonly ReplicationSlot[]; lost: readonly LostSlot[] } {
  const { upTo, wal } = carried;
  const has = new Set(walFiles(carried).map(({ start }) => start));
  const sound: ReplicationSlot[] = [];
  const lost: LostSlot[] = [];
  for (const slot of slots) {
    const missing = slot.restartLsn === undefined ? undefined : firstMissing(slot.restartLsn, upTo, has, wal.fromLsn);
    if (missing === undefined) sound.push(slot);
    else lost.push({ name: slot.name, why: `the log that it needs from ${formatLsn(missing)} on is not there` });
  }
  return { sound, lost };
}

/** Where the first segment file is missing in [from, to); undefined when none is. */
function firstMissing(from: Lsn, to: Lsn, has: ReadonlySet<Lsn>, fromLsn: Lsn | undefined): Lsn | undefined {
  // It says that it has got what was not written yet: of another log than this.
  if (from > to) return to;
  if (fromLsn !== undefined && from < fromLsn) return from;
  for (let start = segmentStart(from); start < to; start = lsn(start + BigInt(WAL_SEGMENT_BYTES))) if (!has.has(start)) return start;
  return undefined;
}

interface WalFile {
  readonly name: string;
  readonly start: Lsn;
  readonly isOtherTimeline: boolean;
}

/** PostgreSQL begins a timeline with a copy of the segment that it begins in. */
function walFiles({ from, timeline, wal: { promoted } }: Carried): WalFile[] {
  return readdirSync(join(from, 'pg_wal')).flatMap((name) => {
    const parsed = parseWalSegmentFileName(name);
    if (parsed === undefined) return [];
    const isOtherTimeline = promoted !== undefined && parsed.lsn >= segmentStart(promoted.lsn);
    const itsTimeline = isOtherTimeline ? promoted.timeline : timeline;
    return parsed.timeline === itsTimeline ? [{ name, start: parsed.lsn, isOtherTimeline }] : [];
  });
}

/**
 * Brings the WAL in [oldest, X), in whole segments. The one that X is in is there already, with what begins at X; it gets what
 * is before that.
 *
 * WAL that a promoted reader wrote comes to the volume's timeline by the headers of its pages. Records that name a timeline, as those of
 * checkpoints do, stay as they are here: decoding does not look at it.
 */
function carryWal(carried: Carried, oldest: Lsn): void {
  const { from, to, timeline, upTo } = carried;
  for (const { name, start, isOtherTimeline } of walFiles(carried)) {
    if (start >= upTo || start < segmentStart(oldest)) continue;
    const [source, target] = [join(from, 'pg_wal', name), join(to, 'pg_wal', walSegmentFileName(timeline, start))];
    const becomes = isOtherTimeline ? timeline : undefined;
    if (start === segmentStart(upTo)) copyBytes(source, target, offsetInSegment(upTo), becomes);
    else {
      if (becomes !== undefined) using(source, 'r+', (fd) => setTimeline(fd, becomes));
      renameSync(source, target);
    }
  }
}

/** Of a WAL page's header (XLogPageHeaderData); no checksum is over it. */
const PAGE_TIMELINE_AT = 4;

function setTimeline(fd: number, timeline: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(timeline);
  for (let page = 0; page < WAL_SEGMENT_BYTES; page += WAL_PAGE_BYTES) writeSync(fd, bytes, 0, bytes.length, page + PAGE_TIMELINE_AT);
}

/** Writes the first bytes of one WAL file over those of another. `timeline`: that their pages are to have. */
function copyBytes(from: string, to: string, bytes: number, timeline: number | undefined): void {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  using(from, 'r', (fd) => {
    for (let at = 0; at < bytes;) {
      const taken = readSync(fd, buffer, at, bytes - at, at);
      if (taken === 0) throw new Error(`${from} ends at ${at}, and should have ${bytes} bytes`);
      at += taken;
    }
  });
  if (timeline !== undefined)
    for (let page = 0; page < bytes; page += WAL_PAGE_BYTES) buffer.writeUInt32LE(timeline, page + PAGE_TIMELINE_AT);
  using(to, 'r+', (fd) => {
    for (let at = 0; at < bytes;) at += writeSync(fd, buffer, at, bytes - at, at);
  });
}

/** What decoding has stored as of LSNs that the volume has; what it stored past them is of redo that was annulled. */
function carryDecoding({ from, to, upTo }: Carried, directory: string, named: RegExp): void {
  for (const name of readdirSync(join(from, directory))) {
    const match = named.exec(name);
    if (match === null) continue;
    const at = (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`);
    if (at <= upTo) renameSync(join(from, directory, name), join(to, directory, name));
  }
}

/**
 * Those that PostgreSQL and its extensions write when they are shut down in order, and delete when they start: where there are
 * any, all that they count was over at X.
 */
function carryStatistics({ from, to }: CarryOver): boolean {
  const names = readdirSync(join(from, 'pg_stat'), { withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.name.endsWith('.stat'),
  );
  for (const { name } of names) renameSync(join(from, 'pg_stat', name), join(to, 'pg_stat', name));
  return names.length > 0;
}

function using(path: string, flags: 'r' | 'r+', use: (fd: number) => void): void {
  const fd = openSync(path, flags);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
