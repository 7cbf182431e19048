import type { EpochStart } from '@kube-aurora/volume';
import { LAYOUTS } from '@kube-aurora/frames';
import { AuroraRpcError } from './errors.ts';
import {
  APPEND_RESULTS,
  FOLLOW_WANTS,
  NO_XMINS,
  SEGMENT_ROLES,
  type AppendHello,
  type AppendRequest,
  type AppendResponse,
  type FollowedRedo,
  type FollowHello,
  type FollowRequest,
  type GetPagesRequest,
  type GetPagesResponse,
  type PreparedAppend,
} from './hot-messages.ts';
import type { SegmentId } from './messages.ts';
import { WireError } from './wire-fields.ts';

/**
 * The messages of the hot path to and from their bytes, by the tables in packages/frames. What was read are views of
 * the message; redo and pages are never copied here.
 */

const VOLUME_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NOTHING = Buffer.alloc(0);
/** A segment knows its epochs, and a request its keys: more do not fit their count. */
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
/** Bits of `followed`. */
const WRITER_FLAGS = { GIVEN_BACK: 1 } as const;
/** Characters of an acknowledgement's text: it is for people, and one frame has room for it. */
const TEXT_MAX = 1024;

interface SegmentFields {
  readonly volumeId: { get(from: Buffer): Buffer; set(into: Buffer, value: Buffer): void };
  readonly pg: { get(from: Buffer): number; set(into: Buffer, value: number): void };
}

/** The volume that was named last, as text and as bytes: of nearly all requests it is the same one. */
let lastVolume: { readonly id: string; readonly bytes: Buffer } | undefined;

function setSegment(fields: SegmentFields, out: Buffer, { volumeId, pg }: SegmentId): void {
  if (lastVolume?.id !== volumeId) {
    if (!VOLUME_ID.test(volumeId)) throw new AuroraRpcError('INVALID', `segment.volume_id: '${volumeId.slice(0, 64)}' is not a UUID`);
    lastVolume = { id: volumeId, bytes: Buffer.from(volumeId.replaceAll('-', ''), 'hex') };
  }
  fields.volumeId.set(out, lastVolume.bytes);
  fields.pg.set(out, pg);
}

function getSegment(fields: SegmentFields, message: Buffer): SegmentId {
  const bytes = fields.volumeId.get(message);
  if (lastVolume === undefined || !lastVolume.bytes.equals(bytes)) {
    const hex = bytes.toString('hex');
    const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    lastVolume = { id, bytes: Buffer.from(bytes) };
  }
  return { volumeId: lastVolume.id, pg: fields.pg.get(message) };
}

function count(name: string, value: number): number {
  if (value > U16_MAX) throw new AuroraRpcError('INVALID', `${name}: ${value}, at most ${U16_MAX} can be sent`);
  return value;
}

function atLeast(message: Buffer, size: number, name: string): void {
  if (message.length < size) throw new WireError(`${name}: ${message.length} bytes, at least ${size} are due`);
}

/** The message that opens an Append stream. */
export function encodeAppendHello({ segment, epoch, writerId, history, role }: AppendHello, vdl: bigint, pgmrpl: bigint): Buffer {
  const { appendHello: at, historyEntry } = LAYOUTS;
  const writer = Buffer.from(writerId, 'utf8');
  const out = Buffer.allocUnsafe(at.size + history.length * historyEntry.size + writer.length);
  setSegment(at, out, segment);
  at.epoch.set(out, epoch);
  at.vdl.set(out, vdl);
  at.pgmrpl.set(out, pgmrpl);
  at.historyCount.set(out, count('hello.history', history.length));
  at.writerIdBytes.set(out, count('hello.writer_id', writer.length));
  at.role.set(out, SEGMENT_ROLES.indexOf(role));
  let start = at.size;
  for (const entry of history) {
    historyEntry.epoch.set(out, entry.epoch, start);
    historyEntry.startLsn.set(out, entry.startLsn, start);
    start += historyEntry.size;
  }
  writer.copy(out, start);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeAppendHello(message: Buffer): AppendRequest {
  const { appendHello: at, historyEntry } = LAYOUTS;
  atLeast(message, at.size, 'hello');
  const historyCount = at.historyCount.get(message);
  const writerIdBytes = at.writerIdBytes.get(message);
  const bytes = at.size + historyCount * historyEntry.size + writerIdBytes;
  if (message.length !== bytes)
    throw new WireError(`hello: ${message.length} bytes, ${bytes} with history_count ${historyCount} and writer_id_bytes ${writerIdBytes}`);
  const role = SEGMENT_ROLES[at.role.get(message)];
  if (role === undefined) throw new WireError(`hello.role: ${at.role.get(message)} is none`);
  const history: EpochStart[] = [];
  for (let index = 0, start = at.size; index < historyCount; index++, start += historyEntry.size)
    history.push({ epoch: historyEntry.epoch.get(message, start), startLsn: historyEntry.startLsn.get(message, start) });
  return {
    hello: {
      segment: getSegment(at, message),
      epoch: at.epoch.get(message),
      writerId: message.toString('utf8', bytes - writerIdBytes),
      history,
      role,
    },
    batches: undefined,
    vdl: at.vdl.get(message),
    pgmrpl: at.pgmrpl.get(message),
  };
}

/** Redo, or none, and the points, for any number of streams that are open. The batches are copied, once. */
export function encodeAppendRequest(batches: readonly Buffer[], vdl: bigint, pgmrpl: bigint): PreparedAppend {
  const { append: at } = LAYOUTS;
  let bytes = at.size;
  for (const batch of batches) bytes += batch.length;
  // Memory of its own: the ring keeps it for long, and a slice of Node's shared pool would keep eight times as much
  // alive.
  const out = Buffer.allocUnsafeSlow(bytes);
  at.vdl.set(out, vdl);
  at.pgmrpl.set(out, pgmrpl);
  let start = at.size;
  for (const batch of batches) start += batch.copy(out, start);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeAppendRequest(message: Buffer): AppendRequest {
  const { append: at } = LAYOUTS;
  atLeast(message, at.size, 'append');
  return {
    hello: undefined,
    batches: message.length === at.size ? undefined : message.subarray(at.size),
    vdl: at.vdl.get(message),
    pgmrpl: at.pgmrpl.get(message),
  };
}

export function encodeAppendResponse({ scl, epoch, result, message, followed }: AppendResponse): Buffer {
  const { acknowledgement: at } = LAYOUTS;
  const text = message === '' ? NOTHING : Buffer.from(message.slice(0, TEXT_MAX), 'utf8');
  const out = Buffer.allocUnsafe(at.size + text.length);
  at.scl.set(out, scl);
  at.epoch.set(out, epoch);
  at.result.set(out, APPEND_RESULTS.indexOf(result));
  at.followed.set(out, followed ? 1 : 0);
  text.copy(out, at.size);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeAppendResponse(message: Buffer): AppendResponse {
  const { acknowledgement: at } = LAYOUTS;
  atLeast(message, at.size, 'acknowledgement');
  const result = APPEND_RESULTS[at.result.get(message)];
  if (result === undefined) throw new WireError(`acknowledgement.result: ${at.result.get(message)} is unknown`);
  return {
    scl: at.scl.get(message),
    epoch: at.epoch.get(message),
    result,
    message: message.length === at.size ? '' : message.toString('utf8', at.size),
    followed: at.followed.get(message) !== 0,
  };
}

/** The message that opens a Follow stream. */
export function encodeFollowHello({ segment, readerId, wants, promotionTier }: FollowHello, takenLsn: bigint, readFloor: bigint): Buffer {
  const { followHello: at } = LAYOUTS;
  const reader = Buffer.from(readerId, 'utf8');
  const out = Buffer.allocUnsafe(at.size + reader.length);
  setSegment(at, out, segment);
  at.takenLsn.set(out, takenLsn);
  at.readFloor.set(out, readFloor);
  at.wants.set(out, FOLLOW_WANTS.indexOf(wants));
  at.readerIdBytes.set(out, count('hello.reader_id', reader.length));
  at.promotionTier.set(out, promotionTier);
  reader.copy(out, at.size);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeFollowHello(message: Buffer): FollowRequest {
  const { followHello: at } = LAYOUTS;
  atLeast(message, at.size, 'follow_hello');
  const bytes = at.size + at.readerIdBytes.get(message);
  if (message.length !== bytes)
    throw new WireError(`follow_hello: ${message.length} bytes, ${bytes} with reader_id_bytes ${at.readerIdBytes.get(message)}`);
  const wants = FOLLOW_WANTS[at.wants.get(message)];
  if (wants === undefined) throw new WireError(`follow_hello.wants: ${at.wants.get(message)} is none`);
  return {
    hello: {
      segment: getSegment(at, message),
      readerId: message.toString('utf8', at.size),
      wants,
      promotionTier: at.promotionTier.get(message),
    },
    takenLsn: at.takenLsn.get(message),
    readFloor: at.readFloor.get(message),
  };
}

export function encodeFollowRequest({ takenLsn, readFloor, xmins = NO_XMINS }: Omit<FollowRequest, 'hello'>): Buffer {
  const { follow: at } = LAYOUTS;
  const out = Buffer.allocUnsafe(at.size);
  at.takenLsn.set(out, takenLsn);
  at.readFloor.set(out, readFloor);
  at.xmin.set(out, xmins.xmin);
  at.catalogXmin.set(out, xmins.catalogXmin);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeFollowRequest(message: Buffer): FollowRequest {
  const { follow: at } = LAYOUTS;
  if (message.length !== at.size) throw new WireError(`follow: ${message.length} bytes, ${at.size} are due`);
  return {
    hello: undefined,
    takenLsn: at.takenLsn.get(message),
    readFloor: at.readFloor.get(message),
    xmins: { xmin: at.xmin.get(message), catalogXmin: at.catalogXmin.get(message) },
  };
}

/** What goes before the batches, which follow as they are. */
export function encodeFollowedHead({ vdl, writerEpoch, writerSilentMs, writerGaveBack }: Omit<FollowedRedo, 'batches'>): Buffer {
  const { followed: at } = LAYOUTS;
  const out = Buffer.allocUnsafe(at.size);
  at.vdl.set(out, vdl);
  at.writerEpoch.set(out, writerEpoch);
  at.writerSilentMs.set(out, Math.min(writerSilentMs, U32_MAX));
  at.writerFlags.set(out, writerGaveBack ? WRITER_FLAGS.GIVEN_BACK : 0);
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeFollowedRedo(message: Buffer): FollowedRedo {
  const { followed: at } = LAYOUTS;
  atLeast(message, at.size, 'followed');
  return {
    vdl: at.vdl.get(message),
    batches: message.length === at.size ? undefined : message.subarray(at.size),
    writerEpoch: at.writerEpoch.get(message),
    writerSilentMs: at.writerSilentMs.get(message),
    writerGaveBack: (at.writerFlags.get(message) & WRITER_FLAGS.GIVEN_BACK) !== 0,
  };
}

export function encodeGetPagesRequest({ segment, epoch, lsn, keys }: GetPagesRequest): Buffer {
  const { getPages: at, pageKey } = LAYOUTS;
  let bytes = at.size + count('keys', keys.length) * pageKey.size;
  for (const key of keys) bytes += count('key', key.length);
  const out = Buffer.allocUnsafe(bytes);
  setSegment(at, out, segment);
  at.epoch.set(out, epoch);
  at.lsn.set(out, lsn);
  at.keyCount.set(out, keys.length);
  let start = at.size;
  for (const key of keys) {
    pageKey.length.set(out, key.length, start);
    start += pageKey.size;
    start += key.copy(out, start);
  }
  return out;
}

/** Throws WireError for bytes that are no such message. */
export function decodeGetPagesRequest(message: Buffer): GetPagesRequest {
  const { getPages: at, pageKey } = LAYOUTS;
  atLeast(message, at.size, 'get_pages');
  const keyCount = at.keyCount.get(message);
  const keys: Buffer[] = [];
  let start = at.size;
  for (let index = 0; index < keyCount; index++) {
    if (start + pageKey.size > message.length) throw new WireError(`get_pages.keys[${index}]: is missing`);
    const end = start + pageKey.size + pageKey.length.get(message, start);
    if (end > message.length) throw new WireError(`get_pages.keys[${index}]: runs ${end - message.length} bytes past the message`);
    keys.push(message.subarray(start + pageKey.size, end));
    start = end;
  }
  if (start !== message.length) throw new WireError(`get_pages: ${message.length - start} bytes follow its keys`);
  return { segment: getSegment(at, message), epoch: at.epoch.get(message), lsn: at.lsn.get(message), keys };
}

/** What goes before the pages, which follow as they are. */
export function encodePagesHead({ present }: GetPagesResponse): Buffer {
  const { pages: at } = LAYOUTS;
  const out = Buffer.allocUnsafe(at.size + present.length);
  at.keyCount.set(out, present.length);
  present.copy(out, at.size);
  return out;
}

/**
 * Takes the message in the pieces in which it came, and gives its pages in them. Throws WireError for bytes that are no
 * such message.
 */
export function decodeGetPagesResponse(message: readonly Buffer[]): GetPagesResponse {
  const { pages: at } = LAYOUTS;
  const sized = joinHead(message, at.size);
  const start = at.size + at.keyCount.get(sized[0]);
  const [head, ...pages] = joinHead(sized, start);
  return { present: head.subarray(at.size, start), pages: start < head.length ? [head.subarray(start), ...pages] : pages };
}

/** The same pieces, the first of which has at least so many bytes. */
function joinHead(pieces: readonly Buffer[], bytes: number): readonly [Buffer, ...Buffer[]] {
  let count = 0;
  let joined = 0;
  while (count < pieces.length && (count === 0 || joined < bytes)) joined += pieces[count++]?.length ?? 0;
  const [first = NOTHING] = pieces;
  const head = count > 1 ? Buffer.concat(pieces.slice(0, count), joined) : first;
  atLeast(head, bytes, 'pages');
  return [head, ...pieces.slice(count)];
}
