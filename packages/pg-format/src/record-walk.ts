import type { Lsn } from './lsn.ts';
import { PAGE_BYTES } from './page.ts';
import { WalFormatError } from './wal-format-error.ts';
import { BLOCK_FLAG, BLOCK_ID, IMAGE_FLAG, RECORD_HEADER, RECORD_HEADER_BYTES } from './wal-layout.ts';

/**
 * A walk over a record's headers (access/xlogrecord.h; the checks are those of DecodeXLogRecord), where the record stands: what they say goes
 * into arrays that the next record fills again, so that a record which is only indexed costs no object. The CRC is not checked here. Arrays
 * hold one place for each block, in the order of their ids; places are offsets in the bytes that were walked.
 *
 * The checks at the top of each step make sure that every byte which is read is there; `!` states it.
 */
const BLOCKS_MAX = BLOCK_ID.MAX + 1;

export class RecordWalk {
  bytes: Buffer = Buffer.alloc(0);
  lsn: Lsn | number = 0;
  start = 0;
  totalBytes = 0;
  xid = 0;
  info = 0;
  rmid = 0;
  /** How many. */
  blocks = 0;
  readonly ids = new Uint8Array(BLOCKS_MAX);
  readonly flags = new Uint8Array(BLOCKS_MAX);
  readonly spcOids = new Uint32Array(BLOCKS_MAX);
  readonly dbOids = new Uint32Array(BLOCKS_MAX);
  readonly relNumbers = new Uint32Array(BLOCKS_MAX);
  readonly blockNumbers = new Uint32Array(BLOCKS_MAX);
  readonly dataBytes = new Uint16Array(BLOCKS_MAX);
  /** Of the image; 0 where there is none. */
  readonly imageBytes = new Uint16Array(BLOCKS_MAX);
  readonly imageInfos = new Uint8Array(BLOCKS_MAX);
  readonly holeOffsets = new Uint16Array(BLOCKS_MAX);
  readonly holeBytes = new Uint16Array(BLOCKS_MAX);
  /** Where the blocks' images and data begin, and the main data, which is the record's last part. */
  payloadAt = 0;
  mainAt = 0;
  mainBytes = 0;
  /** Undefined where the record says nothing of it. */
  origin: number | undefined;
  topLevelXid: number | undefined;

  get end(): number {
    return this.start + this.totalBytes;
  }

  fork(block: number): number {
    return this.flags[block]! & BLOCK_FLAG.FORK_MASK;
  }

  hasImage(block: number): boolean {
    return (this.flags[block]! & BLOCK_FLAG.HAS_IMAGE) !== 0;
  }

  /** Does redo restore the page from an image? */
  restores(block: number): boolean {
    return this.hasImage(block) && (this.imageInfos[block]! & IMAGE_FLAG.APPLY) !== 0;
  }

  willInit(block: number): boolean {
    return (this.flags[block]! & BLOCK_FLAG.WILL_INIT) !== 0;
  }

  /** A byte of the main data. Throws WalFormatError when it has none there. */
  mainByte(at: number): number {
    if (at >= this.mainBytes) throw this.#wrong('main data', `${this.mainBytes} bytes, byte ${at} is wanted`);
    return this.bytes[this.mainAt + at]!;
  }

  /**
   * Walks the record of `length` bytes that stands at `start`, without page headers. Throws WalFormatError when the bytes are not a record; the
   * walk is of no use then.
   */
  read(bytes: Buffer, start: number, length: number, lsn: Lsn | number): this {
    this.bytes = bytes;
    this.start = start;
    this.totalBytes = length;
    this.lsn = lsn;
    if (length < RECORD_HEADER_BYTES || start + length > bytes.length) {
      throw this.#wrong('tot_len', `record of ${Math.min(length, bytes.length - start)} bytes is shorter than its header`);
    }
    const totalLength = u32(bytes, start + RECORD_HEADER.totalLength.at);
    if (totalLength !== length) throw this.#wrong('tot_len', `says ${totalLength}, record has ${length} bytes`);
    this.xid = u32(bytes, start + RECORD_HEADER.xid.at);
    this.info = bytes[start + RECORD_HEADER.info.at]!;
    this.rmid = bytes[start + RECORD_HEADER.rmid.at]!;
    this.blocks = 0;
    this.mainBytes = 0;
    this.origin = undefined;
    this.topLevelXid = undefined;
    this.#headers(start + length);
    return this;
  }

  /** Headers end where what is left is as long as the payload they announced, or with the main data's header. */
  #headers(end: number): void {
    const { bytes } = this;
    let at = this.start + RECORD_HEADER_BYTES;
    let payload = 0;
    while (end - at > payload) {
      const id = bytes[at++]!;
      if (id <= BLOCK_ID.MAX) {
        at = this.#block(id, at, end);
        const block = this.blocks - 1;
        payload += this.dataBytes[block]! + this.imageBytes[block]!;
      } else if (id === BLOCK_ID.DATA_SHORT) {
        this.#need(1, at, end, 'main data length');
        this.mainBytes = bytes[at]!;
        at += 1;
        break;
      } else if (id === BLOCK_ID.DATA_LONG) {
        this.#need(4, at, end, 'main data length');
        this.mainBytes = u32(bytes, at);
        at += 4;
        break;
      } else if (id === BLOCK_ID.ORIGIN) {
        this.#need(2, at, end, 'origin');
        this.origin = u16(bytes, at);
        at += 2;
      } else if (id === BLOCK_ID.TOPLEVEL_XID) {
        this.#need(4, at, end, 'toplevel_xid');
        this.topLevelXid = u32(bytes, at);
        at += 4;
      } else {
        throw this.#wrong('block_id', `${id} is not a block id`);
      }
    }
    payload += this.mainBytes;
    if (end - at !== payload) throw this.#wrong('tot_len', `${end - at} bytes of payload, headers announce ${payload}`);
    this.payloadAt = at;
    this.mainAt = end - this.mainBytes;
  }

  /** Takes in a block's header, which goes on at `at`, after its id; gives where it ends. */
  #block(id: number, at: number, end: number): number {
    const { bytes, blocks: block } = this;
    if (block > 0 && id <= this.ids[block - 1]!) throw this.#wrong('block_id', `${id} after ${this.ids[block - 1]}; ids must rise`);
    this.#need(3, at, end, 'fork_flags');
    const flags = bytes[at]!;
    const dataBytes = u16(bytes, at + 1);
    let next = at + 3;
    if (((flags & BLOCK_FLAG.HAS_DATA) !== 0) !== dataBytes > 0) {
      throw this.#wrong(`block ${id} data_length`, `${dataBytes} does not agree with fork_flags ${flags}`);
    }
    this.ids[block] = id;
    this.flags[block] = flags;
    this.dataBytes[block] = dataBytes;
    this.imageBytes[block] = 0;
    if ((flags & BLOCK_FLAG.HAS_IMAGE) !== 0) next = this.#image(id, block, next, end);
    if ((flags & BLOCK_FLAG.SAME_REL) === 0) {
      this.#need(12, next, end, 'spcOid');
      this.spcOids[block] = u32(bytes, next);
      this.dbOids[block] = u32(bytes, next + 4);
      this.relNumbers[block] = u32(bytes, next + 8);
      next += 12;
    } else {
      if (block === 0) throw this.#wrong(`block ${id} fork_flags`, 'SAME_REL on the first block');
      this.spcOids[block] = this.spcOids[block - 1]!;
      this.dbOids[block] = this.dbOids[block - 1]!;
      this.relNumbers[block] = this.relNumbers[block - 1]!;
    }
    this.#need(4, next, end, 'blkno');
    this.blockNumbers[block] = u32(bytes, next);
    this.blocks = block + 1;
    return next + 4;
  }

  #image(id: number, block: number, at: number, end: number): number {
    const { bytes } = this;
    this.#need(5, at, end, 'bimg_len');
    const length = u16(bytes, at);
    const holeOffset = u16(bytes, at + 2);
    const info = bytes[at + 4]!;
    let next = at + 5;
    const compressed = (info & IMAGE_FLAG.COMPRESSED) !== 0;
    const hasHole = (info & IMAGE_FLAG.HAS_HOLE) !== 0;
    // The hole's length is stored only when it does not follow from the image's.
    let holeLength = PAGE_BYTES - length;
    if (compressed) {
      holeLength = 0;
      if (hasHole) {
        this.#need(2, next, end, 'hole_length');
        holeLength = u16(bytes, next);
        next += 2;
      }
    }
    const method = info & IMAGE_FLAG.COMPRESSED;
    const fits = hasHole
      ? holeOffset > 0 && holeLength > 0 && length < PAGE_BYTES && holeOffset + holeLength <= PAGE_BYTES
      : holeOffset === 0 && holeLength === 0;
    if (!fits || (compressed && length >= PAGE_BYTES) || (method & (method - 1)) !== 0) {
      throw this.#wrong(`block ${id} image`, `length ${length}, hole ${holeOffset}+${holeLength} and bimg_info ${info} do not agree`);
    }
    this.imageBytes[block] = length;
    this.imageInfos[block] = info;
    this.holeOffsets[block] = holeOffset;
    this.holeBytes[block] = holeLength;
    return next;
  }

  #need(wanted: number, at: number, end: number, field: string): void {
    if (wanted > end - at) throw this.#wrong(field, `needs ${wanted} bytes at offset ${at - this.start}, ${end - at} left`);
  }

  #wrong(field: string, message: string): WalFormatError {
    return new WalFormatError(BigInt(this.lsn) as Lsn, field, message);
  }
}

function u16(bytes: Buffer, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function u32(bytes: Buffer, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
