import type { EnumRow, MessageRow, ScalarRow } from './message-table.ts';
import { MESSAGE_TABLES } from './message-tables.ts';
import type { Messages } from './messages.ts';
import { faultFromMessage } from './segment-fault.ts';
import { BYTES, FieldReader, FIXED64, putVarint, tag, VARINT, varintBytes, WireError } from './wire-fields.ts';

/**
 * Any message to and from its bytes, by the table of its fields. The message that carries redo in bulk has a codec of
 * its own (wire.ts); what both say is the same.
 *
 * Invariants: what this writes, every protobuf implementation reads, and the other way round; a field that only a later
 * release has is passed over; the bytes fields of what was read are views into the message.
 */

type Plain = Readonly<Record<string, unknown>>;
type MessageName = keyof Messages;

const U32_MAX = 0xffff_ffff;
const U64_MAX = 2n ** 64n - 1n;

/** The value as it is written: numbers as such, text and nested messages as what is sized and copied. */
type Written = { readonly number: number } | { readonly fixed64: bigint } | { readonly bytes: Buffer } | { readonly message: Encoded };
/** A message whose size is known, before any of it is written. */
interface Encoded {
  readonly fields: readonly { readonly number: number; readonly value: Written }[];
  readonly size: number;
}

const wrong = (name: MessageName, row: ScalarRow | EnumRow | MessageRow, value: unknown): WireError =>
  new WireError(`${name}.${row.name}: ${typeof value === 'string' ? `'${value}'` : String(value)} is no ${row.kind}`);

function writtenScalar(name: MessageName, row: ScalarRow | EnumRow, value: unknown): Written {
  switch (row.kind) {
    case 'fixed64':
      if (typeof value === 'bigint' && value >= 0n && value <= U64_MAX) return { fixed64: value };
      break;
    case 'uint32':
      if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= U32_MAX) return { number: value };
      break;
    case 'bool':
      if (typeof value === 'boolean') return { number: value ? 1 : 0 };
      break;
    case 'string':
      if (typeof value === 'string') return { bytes: Buffer.from(value, 'utf8') };
      break;
    case 'bytes':
      if (Buffer.isBuffer(value)) return { bytes: value };
      break;
    case 'enum': {
      const number = typeof value === 'string' ? row.values[value] : undefined;
      if (number !== undefined) return { number };
    }
  }
  throw wrong(name, row, value);
}

/** A field without `optional` is left out when it is its type's zero, as proto3 has it. */
function isZero(written: Written): boolean {
  if ('number' in written) return written.number === 0;
  if ('fixed64' in written) return written.fixed64 === 0n;
  return 'bytes' in written && written.bytes.length === 0;
}

function sizeOf(number: number, value: Written): number {
  const tagBytes = varintBytes(tag(number, VARINT));
  if ('number' in value) return tagBytes + varintBytes(value.number);
  if ('fixed64' in value) return tagBytes + 8;
  const length = 'bytes' in value ? value.bytes.length : value.message.size;
  return tagBytes + varintBytes(length) + length;
}

function encoded(name: MessageName, message: Plain): Encoded {
  const fields: { number: number; value: Written }[] = [];
  for (const row of MESSAGE_TABLES[name]) {
    const value = message[row.name];
    if (value === undefined || value === null) continue;
    if (row.kind === 'message') {
      if (row.repeated && !Array.isArray(value)) throw wrong(name, row, value);
      for (const one of (row.repeated ? value : [value]) as unknown[]) {
        if (typeof one !== 'object' || one === null) throw wrong(name, row, one);
        fields.push({ number: row.number, value: { message: encoded(row.message, one as Plain) } });
      }
    } else {
      const written = writtenScalar(name, row, value);
      if (row.optional || !isZero(written)) fields.push({ number: row.number, value: written });
    }
  }
  return { fields, size: fields.reduce((sum, { number, value }) => sum + sizeOf(number, value), 0) };
}

function put(out: Buffer, start: number, { fields }: Encoded): number {
  let at = start;
  for (const { number, value } of fields) {
    if ('number' in value) at = putVarint(out, putVarint(out, at, tag(number, VARINT)), value.number);
    else if ('fixed64' in value) at = out.writeBigUInt64LE(value.fixed64, putVarint(out, at, tag(number, FIXED64)));
    else {
      at = putVarint(out, at, tag(number, BYTES));
      if ('bytes' in value) {
        at = putVarint(out, at, value.bytes.length);
        at += value.bytes.copy(out, at);
      } else at = put(out, putVarint(out, at, value.message.size), value.message);
    }
  }
  return at;
}

/** Throws WireError, naming the field, for a value that its type cannot hold. */
export function encodeMessage<N extends MessageName>(name: N, message: Messages[N]): Buffer {
  const whole = encoded(name, message as unknown as Plain);
  const out = Buffer.allocUnsafe(whole.size);
  put(out, 0, whole);
  return out;
}

function enumValue(name: MessageName, row: EnumRow, number: number): string {
  const known = Object.keys(row.values).find((value) => row.values[value] === number);
  if (known !== undefined) return known;
  // A later release may have more kinds. Where the first says that it is not known, they are that.
  if (row.values['UNKNOWN'] === 0) return 'UNKNOWN';
  throw new WireError(`${name}.${row.name}: ${number} is unknown`);
}

function zero(row: ScalarRow | EnumRow | MessageRow): unknown {
  if (row.optional) return undefined;
  switch (row.kind) {
    case 'fixed64':
      return 0n;
    case 'uint32':
      return 0;
    case 'bool':
      return false;
    case 'string':
      return '';
    case 'bytes':
      return Buffer.alloc(0);
    case 'enum':
      return Object.keys(row.values).find((value) => row.values[value] === 0);
    case 'message':
      return row.repeated ? [] : undefined;
  }
}

function readValue(name: MessageName, row: ScalarRow | EnumRow | MessageRow, reader: FieldReader): unknown {
  switch (row.kind) {
    case 'fixed64':
      return reader.fixed64();
    case 'uint32': {
      const value = reader.number();
      if (value > U32_MAX) throw wrong(name, row, value);
      return value;
    }
    case 'bool':
      return reader.number() !== 0;
    case 'string':
      return reader.bytes().toString('utf8');
    case 'bytes':
      return reader.bytes();
    case 'enum':
      return enumValue(name, row, reader.number());
    case 'message':
      return decodeMessage(row.message, reader.bytes());
  }
}

/**
 * Throws WireError for bytes that are no such message. A nested message that is not there is undefined even where its
 * type has none of it: whoever serves the message refuses that by name.
 */
export function decodeMessage<N extends MessageName>(name: N, bytes: Buffer): Messages[N] {
  const table = MESSAGE_TABLES[name];
  const message: Record<string, unknown> = {};
  for (const row of table) message[row.name] = zero(row);
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    const row = table.find(({ number }) => number === reader.field);
    if (row === undefined) continue;
    const value = readValue(name, row, reader);
    if (row.kind === 'message' && row.repeated) (message[row.name] as unknown[]).push(value);
    else message[row.name] = value;
  }
  return (name === 'SegmentFault' ? faultFromMessage(message) : message) as Messages[N];
}
