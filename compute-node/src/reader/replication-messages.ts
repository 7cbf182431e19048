import { formatLsn, parseLsn, type Lsn } from '@kube-aurora/pg-format';
import { REQUEST, STARTUP_BYTES_MAX } from '../postgres/startup-packets.ts';

/**
 * The part of PostgreSQL's protocol, version 3, that a hot standby's walreceiver speaks to its primary. Numbers are
 * big-endian.
 *
 *   first packet   u32 length with itself · u32 code · startup: pairs of zero-terminated texts, a zero
 *   then           u8 type · u32 length without the type · body
 *   CopyData 'd'   of the standby 'r': u64 written · u64 flushed · u64 applied · i64 time · u8 wants an answer
 *                                 'h': i64 time · u32 xmin · u32 its epoch · u32 catalog xmin · u32 its epoch
 *                  ours           'w': u64 start · u64 end of what there is · i64 time · WAL
 *                                 'k': u64 end of what there is · i64 time · u8 wants an answer
 */

/** Commands and replies of a walreceiver are a few dozen bytes. */
const MESSAGE_BYTES_MAX = 10_000;
const PROTOCOL_MAJOR = 3;
/** Of Unix time in microseconds: midnight of 1 January 2000. */
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** How far a standby is. */
export interface StandbyPosition {
  readonly writeLsn: Lsn;
  readonly flushLsn: Lsn;
  readonly applyLsn: Lsn;
}

/** hot_standby_feedback: rows that a standby's snapshots may still need. */
export interface StandbyFeedback {
  /** Oldest transaction id; 0: none is named. */
  readonly xmin: number;
  readonly epoch: number;
  readonly catalogXmin: number;
  readonly catalogEpoch: number;
}

export type StandbyMessage =
  | { readonly kind: 'encryption' | 'cancel' | 'copyDone' | 'terminate' }
  | { readonly kind: 'startup'; readonly minorVersion: number; readonly parameters: ReadonlyMap<string, string> }
  | { readonly kind: 'command'; readonly text: string }
  | ({ readonly kind: 'position'; readonly wantsAnswer: boolean } & StandbyPosition)
  | ({ readonly kind: 'feedback' } & StandbyFeedback);

/** The bytes are not a walreceiver's. */
export class ReplicationProtocolError extends Error {
  readonly field: string;
  constructor(field: string, found: string) {
    super(`replication protocol: ${field}: ${found}`);
    this.name = 'ReplicationProtocolError';
    this.field = field;
  }
}

/** Cuts what a standby sends into messages. Keeps less than one message, and so at most 10,000 bytes, between calls. */
export class StandbyParser {
  #rest: Buffer = Buffer.alloc(0);
  #hasStarted = false;

  /**
   * The messages that are complete with `chunk`. Throws {@link ReplicationProtocolError}; the parser is of no use after
   * that.
   */
  push(chunk: Buffer): StandbyMessage[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: StandbyMessage[] = [];
    for (;;) {
      const head = this.#hasStarted ? 5 : 8;
      if (bytes.length < head) break;
      const length = this.#hasStarted ? 1 + bytes.readUInt32BE(1) : bytes.readUInt32BE(0);
      const max = this.#hasStarted ? MESSAGE_BYTES_MAX : STARTUP_BYTES_MAX;
      if (length < head || length > max) throw new ReplicationProtocolError('length', `${length}, ${head} to ${max} are taken`);
      if (bytes.length < length) break;
      const message = bytes.subarray(0, length);
      const decoded = this.#hasStarted ? decodeMessage(message) : decodeStartup(message);
      if (decoded.kind === 'startup') this.#hasStarted = true;
      messages.push(decoded);
      bytes = bytes.subarray(length);
    }
    this.#rest = Buffer.from(bytes);
    return messages;
  }
}

function decodeStartup(packet: Buffer): StandbyMessage {
  const code = packet.readUInt32BE(4);
  if (code === REQUEST.ssl || code === REQUEST.gss) return { kind: 'encryption' };
  if (code === REQUEST.cancel) return { kind: 'cancel' };
  if (code >>> 16 !== PROTOCOL_MAJOR) throw new ReplicationProtocolError('version', `${code >>> 16}.${code & 0xffff}, not 3`);
  const texts = packet.toString('utf8', 8).split('\0');
  const parameters = new Map<string, string>();
  for (let at = 0; at + 1 < texts.length && texts[at] !== ''; at += 2) parameters.set(texts[at] ?? '', texts[at + 1] ?? '');
  return { kind: 'startup', minorVersion: code & 0xffff, parameters };
}

function decodeMessage(message: Buffer): StandbyMessage {
  const type = String.fromCharCode(message.readUInt8(0));
  const body = message.subarray(5);
  switch (type) {
    case 'Q':
      return { kind: 'command', text: body.toString('utf8').replace(/\0$/u, '') };
    case 'X':
      return { kind: 'terminate' };
    case 'c':
      return { kind: 'copyDone' };
    case 'd':
      return decodeCopyData(body);
    default:
      throw new ReplicationProtocolError('type', JSON.stringify(type));
  }
}

function decodeCopyData(body: Buffer): StandbyMessage {
  const type = body.length === 0 ? '' : String.fromCharCode(body.readUInt8(0));
  if (type === 'r' && body.length === 34) {
    return {
      kind: 'position',
      writeLsn: body.readBigUInt64BE(1) as Lsn,
      flushLsn: body.readBigUInt64BE(9) as Lsn,
      applyLsn: body.readBigUInt64BE(17) as Lsn,
      wantsAnswer: body.readUInt8(33) !== 0,
    };
  }
  if (type === 'h' && body.length === 25) {
    return {
      kind: 'feedback',
      xmin: body.readUInt32BE(9),
      epoch: body.readUInt32BE(13),
      catalogXmin: body.readUInt32BE(17),
      catalogEpoch: body.readUInt32BE(21),
    };
  }
  throw new ReplicationProtocolError('CopyData', `${JSON.stringify(type)} of ${body.length} bytes`);
}

export type ReplicationCommand =
  | { readonly kind: 'identifySystem' }
  | { readonly kind: 'startReplication'; readonly startLsn: Lsn; readonly timeline: number | undefined }
  | { readonly kind: 'unknown' };

const START_REPLICATION =
  /^START_REPLICATION\s+(?:SLOT\s+"?[a-z0-9_]+"?\s+)?(?:PHYSICAL\s+)?([0-9A-F]{1,8}\/[0-9A-F]{1,8})(?:\s+TIMELINE\s+(\d{1,10}))?\s*;?\s*$/iu;

/**
 * A command of the replication protocol's grammar. Slots are taken and mean nothing: the feed itself holds what is
 * needed.
 */
export function parseReplicationCommand(text: string): ReplicationCommand {
  if (/^\s*IDENTIFY_SYSTEM\s*;?\s*$/iu.test(text)) return { kind: 'identifySystem' };
  const start = START_REPLICATION.exec(text);
  if (start?.[1] === undefined) return { kind: 'unknown' };
  return { kind: 'startReplication', startLsn: parseLsn(start[1]), timeline: start[2] === undefined ? undefined : Number(start[2]) };
}

// What we say
// ----------------------------------------------------------------------------------------------------------

function message(type: string, ...body: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(4 + body.reduce((sum, each) => sum + each.length, 0), 1);
  return Buffer.concat([head, ...body]);
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf8');

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export const ENCRYPTION_REFUSED = Buffer.from('N');
const READY = message('Z', Buffer.from('I'));

/** The answer to a startup packet: no password is asked, the socket's owner is who may enter. */
export function encodeWelcome(minorVersion: number): Buffer {
  const parameters = { server_version: '18.0', client_encoding: 'UTF8', integer_datetimes: 'on', standard_conforming_strings: 'on' };
  return Buffer.concat([
    ...(minorVersion > 0 ? [message('v', u32(PROTOCOL_MAJOR << 16), u32(0))] : []),
    message('R', u32(0)),
    ...Object.entries(parameters).map(([name, value]) => message('S', text(name), text(value))),
    message('K', u32(0), u32(0)),
    READY,
  ]);
}

const TYPE = { text: { oid: 25, bytes: 0xffff }, int8: { oid: 20, bytes: 8 } } as const;

export interface ResultColumn {
  readonly name: string;
  readonly type: keyof typeof TYPE;
}

/** What a query gave, each value in its text form. */
export function encodeResult(columns: readonly ResultColumn[], rows: readonly (readonly (string | null)[])[], tag: string): Buffer {
  const descriptions = columns.map(({ name, type }) => {
    const { oid, bytes } = TYPE[type];
    return Buffer.concat([text(name), u32(0), u16(0), u32(oid), u16(bytes), u32(-1), u16(0)]);
  });
  const value = (one: string | null): Buffer => {
    if (one === null) return u32(-1);
    const bytes = Buffer.from(one);
    return Buffer.concat([u32(bytes.length), bytes]);
  };
  return Buffer.concat([
    message('T', u16(columns.length), ...descriptions),
    ...rows.map((row) => message('D', u16(columns.length), ...row.map(value))),
    message('C', text(tag)),
    READY,
  ]);
}

/** The answer to IDENTIFY_SYSTEM. */
export function encodeIdentity(identity: { readonly systemIdentifier: bigint; readonly timeline: number; readonly endLsn: Lsn }): Buffer {
  const { systemIdentifier, timeline, endLsn } = identity;
  return encodeResult(
    [
      { name: 'systemid', type: 'text' },
      { name: 'timeline', type: 'int8' },
      { name: 'xlogpos', type: 'text' },
      { name: 'dbname', type: 'text' },
    ],
    [[systemIdentifier.toString(), String(timeline), formatLsn(endLsn), null]],
    'IDENTIFY_SYSTEM',
  );
}

/** From here on both send CopyData. */
export const COPY_BOTH = message('W', Buffer.from([0]), u16(0));
/** The answer to CopyDone: the stream is over, and commands may follow. */
export const COPY_ENDED = Buffer.concat([message('c'), message('C', text('START_REPLICATION')), READY]);

/** SQLSTATEs that a walreceiver's log shows. */
export type ReplicationRefusal = '42601' | '58P01' | '55000' | '08P01';

/** ERROR, after which commands may follow, or FATAL. */
export function encodeRefusal(severity: 'ERROR' | 'FATAL', sqlState: ReplicationRefusal, why: string): Buffer {
  const fields = [`S${severity}`, `V${severity}`, `C${sqlState}`, `M${why}`].map(text);
  const refusal = message('E', ...fields, Buffer.from([0]));
  return severity === 'FATAL' ? refusal : Buffer.concat([refusal, READY]);
}

function timestamp(unixMs: number): bigint {
  return BigInt(Math.trunc(unixMs * 1000)) - POSTGRES_EPOCH_US;
}

/** What goes before `bytes` of WAL that start at `startLsn`. */
export function encodeWalHead(startLsn: Lsn, endLsn: Lsn, unixMs: number, bytes: number): Buffer {
  const out = Buffer.allocUnsafe(30);
  out.write('d', 0, 'latin1');
  out.writeUInt32BE(4 + 25 + bytes, 1);
  out.write('w', 5, 'latin1');
  out.writeBigUInt64BE(startLsn, 6);
  out.writeBigUInt64BE(endLsn, 14);
  out.writeBigInt64BE(timestamp(unixMs), 22);
  return out;
}

export function encodeKeepalive(endLsn: Lsn, unixMs: number, wantsAnswer: boolean): Buffer {
  const time = Buffer.alloc(8);
  time.writeBigInt64BE(timestamp(unixMs));
  return message('d', Buffer.from('k'), u64(endLsn), time, Buffer.from([wantsAnswer ? 1 : 0]));
}
