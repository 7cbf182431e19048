import fs from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@kube-aurora/pg-format/crc32c';

/**
 * LevelDB keeps a CRC for every block of its table files, but checks it only when told to, which its binding for Node
 * cannot. Unchecked, a flipped bit in a stored value fails the value's own CRC; one in a key, an index or a filter
 * makes the entry vanish, or an older one show. So we read the tables and check every block.
 *
 * A table: blocks one after another from byte 0, each followed by a type (0 plain, 1 snappy) and a CRC32C of block and
 * type; then a footer of 48 bytes: handles (varint offset, varint size) of the metaindex and index blocks, zeros,
 * magic.
 * Source: LevelDB's doc/table_format.md.
 */
const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = 0xdb4775248b80fb57n;
const CRC_MASK = 0xa282ead8;

/** A table that is not as LevelDB wrote it. */
export class TableDamageError extends Error {
  constructor(file: string, message: string) {
    super(`${file}: ${message}`);
    this.name = 'TableDamageError';
  }
}

interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** Reads LevelDB's numbers from bytes, one after another. */
export class ByteCursor {
  readonly bytes: Buffer;
  at: number;
  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      const byte = this.bytes[this.at++];
      // LevelDB never ends a number with a zero it could leave out.
      if (byte === undefined || (byte === 0 && scale > 1)) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number is not as LevelDB writes it');
  }
  /** Passes over a number of up to 64 bits. */
  skipVarint(): void {
    for (let count = 0; count < 10; count++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      if (byte < 0x80) return;
    }
    throw new RangeError('a number is not as LevelDB writes it');
  }
  /** Passes over a string that its length precedes. */
  skipString(): void {
    const length = this.varint();
    if (this.at + length > this.bytes.length) throw new RangeError('a string reaches past the end');
    this.at += length;
  }
  handle(): Handle {
    return { offset: this.varint(), size: this.varint() };
  }
}

/** Undoes snappy's block format. Throws RangeError. */
export function uncompressSnappy(bytes: Buffer): Buffer {
  const reader = new ByteCursor(bytes);
  const out = Buffer.alloc(reader.varint());
  let done = 0;
  const literal = (length: number): void => {
    if (reader.at + length > bytes.length || done + length > out.length) throw new RangeError('a literal is too long');
    bytes.copy(out, done, reader.at, reader.at + length);
    reader.at += length;
    done += length;
  };
  while (reader.at < bytes.length) {
    const tag = bytes.readUInt8(reader.at++);
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >>> 2;
      if (short < 60) literal(short + 1);
      else {
        const width = short - 59;
        const length = bytes.readUIntLE(reader.at, width) + 1;
        reader.at += width;
        literal(length);
      }
      continue;
    }
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const width = kind === 1 ? 1 : kind === 2 ? 2 : 4;
    const back = bytes.readUIntLE(reader.at, width) + (kind === 1 ? (tag >>> 5) * 256 : 0);
    reader.at += width;
    if (back === 0 || back > done || done + length > out.length) throw new RangeError('a copy reaches out of bounds');
    // Byte by byte: a copy may overlap what it makes.
    for (let i = 0; i < length; i++, done++) out[done] = out[done - back] ?? 0;
  }
  if (done !== out.length) throw new RangeError('it is shorter than it says');
  return out;
}

/** LevelDB stores CRCs turned and moved, so that a CRC over bytes that hold CRCs means something. */
export function unmaskedCrc(masked: number): number {
  const turned = (masked - CRC_MASK) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
}

function checkedBlock(table: Buffer, { offset, size }: Handle): Buffer {
  const end = offset + size;
  if (end + TRAILER_BYTES > table.length - FOOTER_BYTES) throw new RangeError(`the block at byte ${offset} reaches past the end`);
  if (crc32c(table.subarray(offset, end + 1)) >>> 0 !== unmaskedCrc(table.readUInt32LE(end + 1)))
    throw new RangeError(`the block at byte ${offset} fails its CRC`);
  return table.subarray(offset, end);
}

/** Handles in an index block: the values of its entries. */
function handlesIn(table: Buffer, at: Handle): Handle[] {
  const stored = checkedBlock(table, at);
  const block = table[at.offset + at.size] === 1 ? uncompressSnappy(stored) : stored;
  const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4);
  const reader = new ByteCursor(block);
  const handles: Handle[] = [];
  while (reader.at < end) {
    reader.varint();
    const keyBytes = reader.varint();
    const valueBytes = reader.varint();
    reader.at += keyBytes;
    const next = reader.at + valueBytes;
    handles.push(reader.handle());
    reader.at = next;
  }
  return handles;
}

/** Checks every block of a table, and that the blocks leave no byte out. Throws TableDamageError. */
export function checkTable(name: string, table: Buffer): void {
  try {
    if (table.length < FOOTER_BYTES || table.readBigUInt64LE(table.length - 8) !== MAGIC) throw new RangeError('it has no footer');
    const footer = new ByteCursor(table, table.length - FOOTER_BYTES);
    const metaindex = footer.handle();
    const index = footer.handle();
    if (table.subarray(footer.at, table.length - 8).some((byte) => byte !== 0)) throw new RangeError('its footer is damaged');
    const blocks = [...handlesIn(table, index), ...handlesIn(table, metaindex)];
    for (const block of blocks) checkedBlock(table, block);
    let expected = 0;
    for (const { offset, size } of [...blocks, metaindex, index].toSorted((a, b) => a.offset - b.offset)) {
      if (offset !== expected) throw new RangeError(`bytes from ${expected} on belong to no block`);
      expected = offset + size + TRAILER_BYTES;
    }
    if (expected !== table.length - FOOTER_BYTES) throw new RangeError('its blocks do not end at its footer');
  } catch (error) {
    if (error instanceof RangeError) throw new TableDamageError(name, error.message);
    throw error;
  }
}

/** Table files of a LevelDB directory, oldest first. */
export function tableNames(directory: string): string[] {
  if (!fs.existsSync(directory)) return [];
  return fs
    .readdirSync(directory)
    .filter((name) => /^\d+\.(ldb|sst)$/.test(name))
    .toSorted();
}

/** Reads and checks one table; gives its size, or undefined when it is gone. Throws TableDamageError. */
export async function checkTableFile(directory: string, name: string): Promise<number | undefined> {
  let table: Buffer;
  try {
    table = await fs.promises.readFile(join(directory, name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  checkTable(name, table);
  return table.length;
}
