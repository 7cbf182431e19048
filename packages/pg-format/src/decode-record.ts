import { BinaryReader, ShortReadError } from './binary-reader.ts';
import type { Lsn } from './lsn.ts';
import { RMGR } from './rmgr.ts';
import { WalFormatError } from './wal-format-error.ts';
import { BLOCK_FLAG, BLOCK_ID, IMAGE_FLAG, RECORD_HEADER, RECORD_HEADER_BYTES } from './wal-layout.ts';
import { recordEndLsn } from './wal-position.ts';
import { PAGE_BYTES } from './page.ts';
import type { BlockImage, BlockRef, WalRecord } from './wal-record.ts';

const EMPTY = Buffer.alloc(0);
const XLOG_SWITCH = 0x40;

/**
 * A record and its blocks, with views into it made when they are asked for: of most records, most of the time, only
 * the pages they name are wanted.
 */
class DecodedRecord implements WalRecord {
  readonly raw: Buffer;
  readonly lsn: Lsn;
  readonly xid: number;
  readonly rmid: number;
  readonly info: number;
  readonly blocks: readonly BlockRef[];
  readonly origin: number | undefined;
  readonly topLevelXid: number | undefined;
  /** Main data is the record's last part. */
  readonly #mainLength: number;
  #mainData: Buffer | undefined;
  #endLsn: Lsn | undefined;

  constructor(
    raw: Buffer,
    lsn: Lsn,
    endLsn: Lsn | undefined,
    blocks: readonly BlockRef[],
    mainLength: number,
    origin: number | undefined,
    topLevelXid: number | undefined,
  ) {
    this.raw = raw;
    this.lsn = lsn;
    this.xid = raw.readUInt32LE(RECORD_HEADER.xid.at);
    this.rmid = raw.readUInt8(RECORD_HEADER.rmid.at);
    this.info = raw.readUInt8(RECORD_HEADER.info.at);
    this.blocks = blocks;
    this.origin = origin;
    this.topLevelXid = topLevelXid;
    this.#mainLength = mainLength;
    this.#endLsn = endLsn;
  }

  get prev(): Lsn {
    return this.raw.readBigUInt64LE(RECORD_HEADER.prev.at) as Lsn;
  }

  get crc(): number {
    return this.raw.readUInt32LE(RECORD_HEADER.crc.at);
  }

  get endLsn(): Lsn {
    return (this.#endLsn ??= recordEndLsn(this.lsn, this.raw.length, isSwitchRecord(this.rmid, this.info)));
  }

  get mainData(): Buffer {
    return (this.#mainData ??= this.#mainLength === 0 ? EMPTY : this.raw.subarray(this.raw.length - this.#mainLength));
  }
}

class DecodedBlock implements BlockRef {
  readonly id: number;
  readonly fork: number;
  readonly willInit: boolean;
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly blockNumber: number;
  readonly dataLength: number;
  image: BlockImage | undefined;
  readonly imageHeader: ImageHeader | undefined;
  readonly #raw: Buffer;
  #dataAt = 0;
  #data: Buffer | undefined;

  constructor(
    raw: Buffer,
    id: number,
    flags: number,
    dataLength: number,
    imageHeader: ImageHeader | undefined,
    spcOid: number,
    dbOid: number,
    relNumber: number,
    blockNumber: number,
  ) {
    this.#raw = raw;
    this.id = id;
    this.fork = flags & BLOCK_FLAG.FORK_MASK;
    this.willInit = (flags & BLOCK_FLAG.WILL_INIT) !== 0;
    this.dataLength = dataLength;
    this.imageHeader = imageHeader;
    this.spcOid = spcOid;
    this.dbOid = dbOid;
    this.relNumber = relNumber;
    this.blockNumber = blockNumber;
    this.image = undefined;
  }

  get data(): Buffer {
    return (this.#data ??= this.dataLength === 0 ? EMPTY : this.#raw.subarray(this.#dataAt, this.#dataAt + this.dataLength));
  }

  /** Its payload, the image and then its data, begins at byte `at`; gives where it ends. */
  place(at: number): number {
    const { imageHeader } = this;
    if (imageHeader !== undefined) this.image = imageAt(this.#raw, at, imageHeader);
    this.#dataAt = at + (imageHeader?.length ?? 0);
    return this.#dataAt + this.dataLength;
  }
}

interface ImageHeader {
  readonly length: number;
  readonly holeOffset: number;
  readonly holeLength: number;
  readonly info: number;
}

/**
 * Decodes one record (access/xlogrecord.h; the checks are those of DecodeXLogRecord). `raw` is the record without page
 * headers, exactly tot_len bytes; the result holds views into it. The CRC is the stream decoder's business and is not
 * checked here. `endLsn` is worked out when not given.
 *
 * Throws WalFormatError when the bytes are not a record.
 */
export function decodeRecord(raw: Buffer, lsn: Lsn, endLsn?: Lsn): WalRecord {
  if (raw.length < RECORD_HEADER_BYTES)
    throw new WalFormatError(lsn, 'tot_len', `record of ${raw.length} bytes is shorter than its header`);
  const totalLength = raw.readUInt32LE(RECORD_HEADER.totalLength.at);
  if (totalLength !== raw.length) throw new WalFormatError(lsn, 'tot_len', `says ${totalLength}, record has ${raw.length} bytes`);
  try {
    return decodeChecked(raw, lsn, endLsn);
  } catch (error) {
    if (error instanceof ShortReadError) throw new WalFormatError(lsn, error.field, error.message);
    throw error;
  }
}

/** True for XLOG_SWITCH, whose end is its segment's end. */
export function isSwitchRecord(rmid: number, info: number): boolean {
  return rmid === RMGR.XLOG && (info & 0xf0) === XLOG_SWITCH;
}

function decodeChecked(raw: Buffer, lsn: Lsn, endLsn: Lsn | undefined): WalRecord {
  const reader = new BinaryReader(raw, RECORD_HEADER_BYTES);
  const blocks: DecodedBlock[] = [];
  let previous: DecodedBlock | undefined;
  let payload = 0;
  let mainLength = 0;
  let origin: number | undefined;
  let topLevelXid: number | undefined;

  // Headers end where what is left is as long as the payload they announced, or with the main data's header.
  while (reader.remaining > payload) {
    const id = reader.u8('block_id');
    if (id <= BLOCK_ID.MAX) {
      if (previous !== undefined && id <= previous.id) {
        throw new WalFormatError(lsn, 'block_id', `${id} after ${previous.id}; ids must rise`);
      }
      previous = readBlockHeader(reader, id, previous, lsn);
      payload += previous.dataLength + (previous.imageHeader?.length ?? 0);
      blocks.push(previous);
    } else if (id === BLOCK_ID.DATA_SHORT) {
      mainLength = reader.u8('main data length');
      break;
    } else if (id === BLOCK_ID.DATA_LONG) {
      mainLength = reader.u32('main data length');
      break;
    } else if (id === BLOCK_ID.ORIGIN) {
      origin = reader.u16('origin');
    } else if (id === BLOCK_ID.TOPLEVEL_XID) {
      topLevelXid = reader.u32('toplevel_xid');
    } else {
      throw new WalFormatError(lsn, 'block_id', `${id} is not a block id`);
    }
  }
  payload += mainLength;
  if (reader.remaining !== payload) {
    throw new WalFormatError(lsn, 'tot_len', `${reader.remaining} bytes of payload, headers announce ${payload}`);
  }
  let at = reader.offset;
  for (const block of blocks) at = block.place(at);
  return new DecodedRecord(raw, lsn, endLsn, blocks, mainLength, origin, topLevelXid);
}

function readBlockHeader(reader: BinaryReader, id: number, previous: DecodedBlock | undefined, lsn: Lsn): DecodedBlock {
  const flags = reader.u8('fork_flags');
  const dataLength = reader.u16('data_length');
  const hasData = (flags & BLOCK_FLAG.HAS_DATA) !== 0;
  if (hasData ? dataLength === 0 : dataLength !== 0) {
    throw new WalFormatError(lsn, `block ${id} data_length`, `${dataLength} does not agree with fork_flags ${flags}`);
  }
  const image = (flags & BLOCK_FLAG.HAS_IMAGE) === 0 ? undefined : readImageHeader(reader, id, lsn);
  const sameRel = (flags & BLOCK_FLAG.SAME_REL) !== 0;
  if (sameRel && previous === undefined) {
    throw new WalFormatError(lsn, `block ${id} fork_flags`, 'SAME_REL on the first block');
  }
  const spcOid = sameRel && previous !== undefined ? previous.spcOid : reader.u32('spcOid');
  const dbOid = sameRel && previous !== undefined ? previous.dbOid : reader.u32('dbOid');
  const relNumber = sameRel && previous !== undefined ? previous.relNumber : reader.u32('relNumber');
  return new DecodedBlock(reader.bytes, id, flags, dataLength, image, spcOid, dbOid, relNumber, reader.u32('blkno'));
}

function readImageHeader(reader: BinaryReader, id: number, lsn: Lsn): ImageHeader {
  const length = reader.u16('bimg_len');
  const holeOffset = reader.u16('hole_offset');
  const info = reader.u8('bimg_info');
  const compressed = (info & IMAGE_FLAG.COMPRESSED) !== 0;
  const hasHole = (info & IMAGE_FLAG.HAS_HOLE) !== 0;
  // The hole's length is stored only when it does not follow from the image's.
  const holeLength = compressed ? (hasHole ? reader.u16('hole_length') : 0) : PAGE_BYTES - length;
  const method = info & IMAGE_FLAG.COMPRESSED;
  const fits = hasHole
    ? holeOffset > 0 && holeLength > 0 && length < PAGE_BYTES && holeOffset + holeLength <= PAGE_BYTES
    : holeOffset === 0 && holeLength === 0;
  if (!fits || (compressed && length >= PAGE_BYTES) || (method & (method - 1)) !== 0) {
    throw new WalFormatError(
      lsn,
      `block ${id} image`,
      `length ${length}, hole ${holeOffset}+${holeLength} and bimg_info ${info} do not agree`,
    );
  }
  return { length, holeOffset, holeLength, info };
}

function imageAt(raw: Buffer, at: number, header: ImageHeader): BlockImage {
  const method = header.info & IMAGE_FLAG.COMPRESSED;
  return {
    data: raw.subarray(at, at + header.length),
    holeOffset: header.holeOffset,
    holeLength: header.holeLength,
    apply: (header.info & IMAGE_FLAG.APPLY) !== 0,
    compression: method === 0 ? 'none' : method === IMAGE_FLAG.PGLZ ? 'pglz' : method === IMAGE_FLAG.LZ4 ? 'lz4' : 'zstd',
  };
}
