import type { Lsn } from './lsn.ts';

/**
 * Layouts of C structures as tables: field → type and byte offset (little-endian, x86-64 alignment). A table gives the
 * TypeScript type, the decoder and the encoder, so that an offset stands in one place only.
 */
interface FieldTypes {
  u8: number;
  u16: number;
  u32: number;
  i32: number;
  u64: bigint;
  i64: bigint;
  f64: number;
  bool: boolean;
  lsn: Lsn;
}

export interface Field {
  readonly type: keyof FieldTypes;
  readonly at: number;
}

export type Layout = Readonly<Record<string, Field>>;

/** The object that a layout describes. */
export type StructOf<L extends Layout> = { -readonly [K in keyof L]: FieldTypes[L[K]['type']] };

/** Reads every field of `layout` from `bytes` at `offset`. Throws RangeError when the buffer is too short. */
export function decodeStruct<L extends Layout>(layout: L, bytes: Buffer, offset = 0): StructOf<L> {
  const fields: Record<string, FieldTypes[keyof FieldTypes]> = {};
  for (const [name, field] of Object.entries(layout)) fields[name] = readField(field.type, bytes, offset + field.at);
  return fields as StructOf<L>;
}

/**
 * Writes every field of `layout` into `bytes` at `offset`; bytes between fields are left as they are. Throws RangeError
 * when a value does not fit its field.
 */
export function encodeStruct<L extends Layout>(layout: L, values: StructOf<L>, bytes: Buffer, offset = 0): void {
  for (const [name, field] of Object.entries(layout)) writeField(field.type, values[name], bytes, offset + field.at, name);
}

function readField(type: keyof FieldTypes, bytes: Buffer, at: number): FieldTypes[keyof FieldTypes] {
  switch (type) {
    case 'u8':
      return bytes.readUInt8(at);
    case 'u16':
      return bytes.readUInt16LE(at);
    case 'u32':
      return bytes.readUInt32LE(at);
    case 'i32':
      return bytes.readInt32LE(at);
    case 'f64':
      return bytes.readDoubleLE(at);
    case 'bool':
      return bytes.readUInt8(at) !== 0;
    case 'i64':
      return bytes.readBigInt64LE(at);
    case 'u64':
    case 'lsn':
      return bytes.readBigUInt64LE(at);
  }
}

function writeField(type: keyof FieldTypes, value: unknown, bytes: Buffer, at: number, name: string): void {
  if (type === 'bool') {
    if (typeof value !== 'boolean') throw new TypeError(`${name}: expected a boolean, got ${typeof value}`);
    bytes.writeUInt8(value ? 1 : 0, at);
  } else if (type === 'u64' || type === 'i64' || type === 'lsn') {
    if (typeof value !== 'bigint') throw new TypeError(`${name}: expected a bigint, got ${typeof value}`);
    if (type === 'i64') bytes.writeBigInt64LE(value, at);
    else bytes.writeBigUInt64LE(value, at);
  } else {
    if (typeof value !== 'number') throw new TypeError(`${name}: expected a number, got ${typeof value}`);
    if (type === 'u8') bytes.writeUInt8(value, at);
    else if (type === 'u16') bytes.writeUInt16LE(value, at);
    else if (type === 'u32') bytes.writeUInt32LE(value, at);
    else if (type === 'i32') bytes.writeInt32LE(value, at);
    else bytes.writeDoubleLE(value, at);
  }
}
