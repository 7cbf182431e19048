import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  /** With slashes between folders. */
  readonly path: string;
  readonly content: string;
}

const LOCAL = 0x04_03_4b_50;
const CENTRAL = 0x02_01_4b_50;
const END = 0x06_05_4b_50;
const VERSION = 20;
const UTF8 = 0x08_00;
const DEFLATE = 8;
/** Readable by all, written by nobody else: the upper half is Unix' mode of a regular file. */
const MODE = 0o100_600 * 0x1_00_00;

/** An archive of texts (PKWARE APPNOTE 4.3, without its extensions: below 4 GiB and 65,536 files). Pure: the same entries and time give the same bytes. */
export function zip(entries: readonly ZipEntry[], at: Date): Buffer {
  const [time, date] = dosTime(at);
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { path, content } of entries) {
    const name = Buffer.from(path);
    const bytes = Buffer.from(content);
    const packed = deflateRawSync(bytes);
    const common = fields(
      [2, VERSION],
      [2, UTF8],
      [2, DEFLATE],
      [2, time],
      [2, date],
      [4, crc32(bytes)],
      [4, packed.length],
      [4, bytes.length],
      [2, name.length],
      [2, 0],
    );
    files.push(fields([4, LOCAL]), common, name, packed);
    directory.push(fields([4, CENTRAL], [2, (3 << 8) | VERSION]), common, fields([2, 0], [2, 0], [2, 0], [4, MODE], [4, offset]), name);
    offset += 4 + common.length + name.length + packed.length;
  }
  const central = Buffer.concat(directory);
  const end = fields([4, END], [2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, central.length], [4, offset], [2, 0]);
  return Buffer.concat([...files, central, end]);
}

/** Little-endian numbers, one after the other: how many bytes, and what. */
function fields(...numbers: readonly (readonly [2 | 4, number])[]): Buffer {
  const buffer = Buffer.alloc(numbers.reduce((sum, [size]) => sum + size, 0));
  let at = 0;
  for (const [size, value] of numbers) at = size === 2 ? buffer.writeUInt16LE(value, at) : buffer.writeUInt32LE(value, at);
  return buffer;
}

/** MS-DOS' date begins in 1980 and counts in two seconds. */
function dosTime(at: Date): readonly [number, number] {
  const year = Math.max(0, at.getUTCFullYear() - 1980);
  return [
    (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
    (year << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
  ];
}
