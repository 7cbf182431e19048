import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import { MESSAGE_TABLES } from './message-tables.ts';
import type { Messages } from './messages.ts';
import { PROTO_FILES, currentSchema, textOf } from './schema/files.ts';
import type { Field } from './schema/schema.ts';
import { camelCase } from './schema/typescript.ts';
import { faultFromMessage } from './segment-fault.ts';
import { decodeRedoChunk, encodeRedoChunk } from './wire.ts';
import { tag, WireError } from './wire-fields.ts';

/**
 * Both codecs, the one that goes by the tables and the one written by hand, against protobufjs, which reads the .proto
 * files itself: whatever one side writes, the other reads as the same, for arbitrary messages.
 */

const root = new protobuf.Root();
for (const file of PROTO_FILES) protobuf.parse(textOf(file), root);
root.resolveAll();
const other = (name: string): protobuf.Type => root.lookupType(`kubeaurora.v1.${name}`);

type Plain = Record<string, unknown>;
const schema = currentSchema();
const messageNames = Object.keys(MESSAGE_TABLES) as (keyof Messages)[];

const wide = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const SCALAR_VALUES: Record<string, fc.Arbitrary<unknown>> = {
  fixed64: wide,
  uint32: fc.nat({ max: 0xffff_ffff }),
  bool: fc.boolean(),
  string: fc.string({ unit: 'binary' }),
  bytes,
};

function fieldValue(field: Field): fc.Arbitrary<unknown> {
  const values = schema.enums.find(({ name }) => name === field.type)?.values;
  const single =
    SCALAR_VALUES[field.type] ?? (values === undefined ? anyMessage(field.type) : fc.constantFrom(...values.map(({ name }) => name)));
  if (field.repeated) return fc.array(single, { maxLength: 4 });
  const message = schema.messages.some(({ name }) => name === field.type);
  return field.optional || message ? fc.option(single, { nil: undefined }) : single;
}

/** A message as the .proto files have it, in the form that our codec gives. */
function anyMessage(name: string): fc.Arbitrary<Plain> {
  const fields = schema.messages.find((message) => message.name === name)?.fields ?? [];
  return fc.record(Object.fromEntries(fields.map((field) => [camelCase(field.name), fieldValue(field)])));
}

/** What protobufjs has read, in our form. */
function fromOther(name: string, message: protobuf.Message | Plain): Plain {
  const source = message as unknown as Plain;
  const fields = schema.messages.find((each) => each.name === name)?.fields ?? [];
  const convert = (field: Field, value: unknown): unknown => {
    if (field.type === 'fixed64') return BigInt(String(value));
    if (field.type === 'bytes') return Buffer.from(value as Uint8Array);
    const values = schema.enums.find((each) => each.name === field.type)?.values;
    if (values !== undefined) return values.find(({ number }) => number === value)?.name;
    return SCALAR_VALUES[field.type] === undefined ? fromOther(field.type, value as Plain) : value;
  };
  return Object.fromEntries(
    fields.map((field) => {
      const key = camelCase(field.name);
      if (field.repeated) return [key, (source[key] as unknown[]).map((value) => convert(field, value))];
      const message = schema.messages.some((each) => each.name === field.type);
      const present = field.optional || message ? Object.hasOwn(source, key) && source[key] !== null : true;
      return [key, present ? convert(field, source[key]) : undefined];
    }),
  );
}

/** Our form as what protobufjs takes: numbers of 64 bits as text, what is absent left out. */
function toOther(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map(toOther);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([key, each]) => (each === undefined ? [] : [[key, toOther(each)]])));
}

const written = (name: string, message: Plain): Buffer =>
  Buffer.from(
    other(name)
      .encode(other(name).fromObject(toOther(message) as Plain))
      .finish(),
  );
const read = (name: string, message: Buffer): Plain => fromOther(name, other(name).decode(message));

/** As our codec gives it: a fault has the fields of its kind alone. */
function asRead(name: string, message: Plain): Plain {
  const fields = schema.messages.find((each) => each.name === name)?.fields ?? [];
  const out = { ...message };
  for (const { name: field, type } of fields) {
    const value = out[camelCase(field)];
    if (!schema.messages.some((each) => each.name === type) || value === undefined) continue;
    out[camelCase(field)] = Array.isArray(value) ? value.map((one) => asRead(type, one as Plain)) : asRead(type, value as Plain);
  }
  return name === 'SegmentFault' ? (faultFromMessage(out) as Plain) : out;
}

describe('the codec that goes by the tables', () => {
  it.each(messageNames)('%s: any reader of the .proto files reads what is written', (name) => {
    fc.assert(
      fc.property(anyMessage(name), (message) => {
        expect(read(name, encodeMessage(name, message as never))).toEqual(message);
      }),
    );
  });

  it.each(messageNames)('%s: reads what any writer of the .proto files writes', (name) => {
    fc.assert(
      fc.property(anyMessage(name), (message) => {
        expect(decodeMessage(name, written(name, message))).toEqual(asRead(name, message));
      }),
    );
  });

  it('passes over fields that only a later release has, of any kind', () => {
    const message = { volumeId: 'v', pg: 3 };
    const later = protobuf.Writer.create().uint32(tag(90, 0)).uint32(1).uint32(tag(91, 1)).fixed64(2).uint32(tag(92, 2)).string('x');
    later.uint32(tag(2000, 5)).fixed32(7);
    expect(decodeMessage('SegmentId', Buffer.concat([encodeMessage('SegmentId', message), later.finish()]))).toEqual(message);
  });

  it('names the field whose value or bytes its type does not have', () => {
    const epochStart = { epoch: 2n ** 64n, startLsn: 0n };
    expect(() => encodeMessage('EpochStart', epochStart)).toThrow('EpochStart.epoch: 18446744073709551616 is no fixed64');
    expect(() => encodeMessage('SegmentId', { volumeId: 'v', pg: -1 })).toThrow('SegmentId.pg: -1 is no uint32');
    expect(() => decodeMessage('EpochStart', Buffer.from([tag(1, 0), 5]))).toThrow(WireError);
    expect(() => decodeMessage('SegmentState', Buffer.from([tag(1, 0), 99]))).toThrow('SegmentState.phase: 99 is unknown');
    expect(decodeMessage('SegmentFault', Buffer.from([tag(1, 0), 99]))).toEqual({ kind: 'UNKNOWN' });
  });

  it('refuses any bytes that are no message with an error of its own, and reads no others', () => {
    fc.assert(
      fc.property(fc.constantFrom(...messageNames), bytes, (name, message) => {
        try {
          decodeMessage(name, message);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
    );
  });
});

/** The messages that wire.ts has by hand. */
const HAND_WRITTEN: Readonly<Record<string, { encode: (message: never) => Buffer; decode: (message: Buffer) => unknown }>> = {
  RedoChunk: { encode: encodeRedoChunk, decode: decodeRedoChunk },
};

describe.each(Object.entries(HAND_WRITTEN))('the hand-written codec of %s', (name, { encode, decode }) => {
  it('is read by any reader of the .proto file', () => {
    fc.assert(
      fc.property(anyMessage(name), (message) => {
        expect(read(name, encode(message as never))).toEqual(message);
      }),
    );
  });

  it('reads any writer of the .proto file', () => {
    fc.assert(
      fc.property(anyMessage(name), (message) => {
        expect(decode(written(name, message))).toEqual(message);
      }),
    );
  });

  it('refuses a field whose value has another type', () => {
    const fixed = schema.messages.find((each) => each.name === name)?.fields ?? [];
    for (const { number, type } of fixed) {
      const value = type === 'fixed64' ? Buffer.from([tag(number, 0), 1]) : Buffer.from([tag(number, 1), 0, 0, 0, 0, 0, 0, 0, 0]);
      expect(() => decode(value), `field ${number}`).toThrow(WireError);
    }
  });
});
