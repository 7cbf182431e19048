/** Appends little-endian numbers and bytes to a buffer that grows; the counterpart of pg-format's BinaryReader. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = Buffer.alloc(capacity);
  }

  u32(value: number): void {
    this.#bytes.writeUInt32LE(value, this.#reserve(4));
  }

  i32(value: number): void {
    this.#bytes.writeInt32LE(value, this.#reserve(4));
  }

  u64(value: bigint): void {
    this.#bytes.writeBigUInt64LE(value, this.#reserve(8));
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#reserve(value.length));
  }

  /** u32 length, then the bytes. */
  sized(value: Uint8Array): void {
    this.u32(value.length);
    this.bytes(value);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }
}
