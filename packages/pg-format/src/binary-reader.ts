/** Thrown by {@link BinaryReader} when a read would pass the end of the buffer; the caller adds where in the log. */
export class ShortReadError extends RangeError {
  readonly field: string;
  constructor(field: string, offset: number, wanted: number, available: number) {
    super(`needs ${wanted} bytes at offset ${offset}, ${available} left`);
    this.name = 'ShortReadError';
    this.field = field;
  }
}

/**
 * Reads little-endian numbers from a buffer one after another, never past `end`. The `field` given to each read names
 * it in the error. Numbers up to 32 bits are numbers, 64 bits are bigint.
 */
export class BinaryReader {
  readonly bytes: Buffer;
  offset: number;
  readonly end: number;

  constructor(bytes: Buffer, offset = 0, end = bytes.length) {
    if (offset < 0 || end > bytes.length || offset > end) {
      throw new RangeError(`reader over [${offset}, ${end}) of ${bytes.length} bytes`);
    }
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  u8(field: string): number {
    return this.bytes.readUInt8(this.#advance(1, field));
  }

  u16(field: string): number {
    return this.bytes.readUInt16LE(this.#advance(2, field));
  }

  u32(field: string): number {
    return this.bytes.readUInt32LE(this.#advance(4, field));
  }

  i32(field: string): number {
    return this.bytes.readInt32LE(this.#advance(4, field));
  }

  u64(field: string): bigint {
    return this.bytes.readBigUInt64LE(this.#advance(8, field));
  }

  i64(field: string): bigint {
    return this.bytes.readBigInt64LE(this.#advance(8, field));
  }

  /** A view of the next `length` bytes, not a copy. */
  view(length: number, field: string): Buffer {
    const start = this.#advance(length, field);
    return this.bytes.subarray(start, start + length);
  }

  skip(length: number, field: string): void {
    this.#advance(length, field);
  }

  /** Skips padding so that the offset within the buffer is a multiple of `alignment`, a power of two. */
  align(alignment: number, field: string): void {
    this.#advance(-this.offset & (alignment - 1), field);
  }

  #advance(length: number, field: string): number {
    const start = this.offset;
    if (length < 0 || length > this.end - start) throw new ShortReadError(field, start, length, this.end - start);
    this.offset = start + length;
    return start;
  }
}
