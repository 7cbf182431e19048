/** Fields at fixed places in bytes, little-endian: a layout is a table of them, read and written through here alone. */

export interface Field {
  /** Bytes from the layout's start. */
  readonly at: number;
  readonly bytes: number;
}

export class U8 implements Field {
  readonly at: number;
  readonly bytes = 1;
  constructor(at: number) {
    this.at = at;
  }
  get(from: Buffer, start = 0): number {
    return from.readUInt8(start + this.at);
  }
  set(into: Buffer, value: number, start = 0): void {
    into.writeUInt8(value, start + this.at);
  }
}

export class U16 implements Field {
  readonly at: number;
  readonly bytes = 2;
  constructor(at: number) {
    this.at = at;
  }
  get(from: Buffer, start = 0): number {
    return from.readUInt16LE(start + this.at);
  }
  set(into: Buffer, value: number, start = 0): void {
    into.writeUInt16LE(value, start + this.at);
  }
}

export class U32 implements Field {
  readonly at: number;
  readonly bytes = 4;
  constructor(at: number) {
    this.at = at;
  }
  get(from: Buffer, start = 0): number {
    return from.readUInt32LE(start + this.at);
  }
  set(into: Buffer, value: number, start = 0): void {
    into.writeUInt32LE(value, start + this.at);
  }
}

export class U48 implements Field {
  readonly at: number;
  readonly bytes = 6;
  constructor(at: number) {
    this.at = at;
  }
  get(from: Buffer, start = 0): number {
    return from.readUIntLE(start + this.at, 6);
  }
  set(into: Buffer, value: number, start = 0): void {
    into.writeUIntLE(value, start + this.at, 6);
  }
}

export class U64 implements Field {
  readonly at: number;
  readonly bytes = 8;
  constructor(at: number) {
    this.at = at;
  }
  get(from: Buffer, start = 0): bigint {
    return from.readBigUInt64LE(start + this.at);
  }
  set(into: Buffer, value: bigint, start = 0): void {
    into.writeBigUInt64LE(value, start + this.at);
  }
}

/** Bytes as they are. */
export class Raw implements Field {
  readonly at: number;
  readonly bytes: number;
  constructor(at: number, bytes: number) {
    this.at = at;
    this.bytes = bytes;
  }
  /** A view. */
  get(from: Buffer, start = 0): Buffer {
    return from.subarray(start + this.at, start + this.at + this.bytes);
  }
  set(into: Buffer, value: Buffer, start = 0): void {
    if (value.length !== this.bytes) throw new RangeError(`${value.length} bytes for a field of ${this.bytes}`);
    value.copy(into, start + this.at);
  }
}

export const u8 = (at: number): U8 => new U8(at);
export const u16 = (at: number): U16 => new U16(at);
export const u32 = (at: number): U32 => new U32(at);
export const u48 = (at: number): U48 => new U48(at);
export const u64 = (at: number): U64 => new U64(at);
export const raw =
  (bytes: number) =>
  (at: number): Raw =>
    new Raw(at, bytes);

type FieldMaker = (at: number) => Field;
export type Layout<F extends Record<string, FieldMaker>> = {
  readonly [name in keyof F]: ReturnType<F[name]>;
} & {
  /** All fixed fields together; what varies in length follows. */
  readonly size: number;
  readonly rows: readonly { readonly name: string; readonly at: number; readonly bytes: number }[];
};

/** Fields one after another, in the table's order. */
export function layout<F extends Record<string, FieldMaker>>(table: F): Layout<F> {
  let size = 0;
  const fields = Object.entries(table).map(([name, make]) => {
    const field = make(size);
    size += field.bytes;
    return [name, field] as const;
  });
  const rows = fields.map(([name, { at, bytes }]) => ({ name, at, bytes }));
  return { ...Object.fromEntries(fields), size, rows } as unknown as Layout<F>;
}
