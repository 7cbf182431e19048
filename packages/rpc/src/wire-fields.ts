/** The encoding of protobuf's fields: numbers, tags, and a reader that steps over one message. Views, no copies. */

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const FIXED32 = 5;

/** Thrown for bytes that are not the message they should be. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Writes `value` at `at`; returns where it ends. */
export function putVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest >= 128) {
    out[position++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  out[position++] = rest;
  return position;
}

/** The tag of a field: its number and how its value is written. */
export function tag(field: number, type: number): number {
  return field * 8 + type;
}

/**
 * Steps over the fields of one message. A field's value is asked for as what it should be; anything else is a
 * WireError.
 */
export class FieldReader {
  field = 0;
  #type = 0;
  #number = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #fixed = 0n;
  #at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  next(): boolean {
    if (this.#at >= this.#buffer.length) return false;
    const fieldTag = this.#varint();
    this.field = Math.floor(fieldTag / 8);
    this.#type = fieldTag % 8;
    if (this.#type === VARINT) this.#number = this.#varint();
    else if (this.#type === BYTES) this.#bytes = this.#take(this.#varint());
    else if (this.#type === FIXED64) this.#fixed = this.#take(8).readBigUInt64LE(0);
    else if (this.#type === FIXED32) this.#take(4);
    else throw new WireError(`field ${this.field} has wire type ${this.#type}, which proto3 does not use`);
    return true;
  }

  number(): number {
    this.#expect(VARINT);
    return this.#number;
  }

  bytes(): Buffer {
    this.#expect(BYTES);
    return this.#bytes;
  }

  fixed64(): bigint {
    this.#expect(FIXED64);
    return this.#fixed;
  }

  #expect(type: number): void {
    if (this.#type !== type) throw new WireError(`field ${this.field} has wire type ${this.#type} where ${type} is due`);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#buffer.length) throw new WireError(`field ${this.field} runs ${end - this.#buffer.length} bytes past the message`);
    const view = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#buffer[this.#at++];
      if (byte === undefined) throw new WireError('the message ends inside a number');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new WireError('a number is longer than 8 bytes');
  }
}
