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

/** A block header as read, before the payload's place is known. */
interface BlockHeader {
  readonly id: number;
  readonly flags: number;
  readonly dataLength: number;
  readonly image: ImageHeader | undefined;
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly blockNumber: number;
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
  const info = raw.readUInt8(RECORD_HEADER.info.at);
  const rmid = raw.readUInt8(RECORD_HEADER.rmid.at);
  const headers: BlockHeader[] = [];
  let previous: BlockHeader | undefined;
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
      payload += previous.dataLength + (previous.image?.length ?? 0);
      headers.push(previous);
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

  const blocks: BlockRef[] = [];
  for (const header of headers) blocks.push(readBlock(reader, header));
  return {
    lsn,
    endLsn: endLsn ?? recordEndLsn(lsn, raw.length, isSwitchRecord(rmid, info)),
    prev: raw.readBigUInt64LE(RECORD_HEADER.prev.at) as Lsn,
    xid: raw.readUInt32LE(RECORD_HEADER.xid.at),
    rmid,
    info,
    crc: raw.readUInt32LE(RECORD_HEADER.crc.at),
    blocks,
    mainData: mainLength === 0 ? EMPTY : reader.view(mainLength, 'main data'),
    origin,
    topLevelXid,
    raw,
  };
}

function readBlockHeader(reader: BinaryReader, id: number, previous: BlockHeader | undefined, lsn: Lsn): BlockHeader {
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
  return {
    id,
    flags,
    dataLength,
    image,
    spcOid: sameRel && previous !== undefined ? previous.spcOid : reader.u32('spcOid'),
    dbOid: sameRel && previous !== undefined ? previous.dbOid : reader.u32('dbOid'),
    relNumber: sameRel && previous !== undefined ? previous.relNumber : reader.u32('relNumber'),
    blockNumber: reader.u32('blkno'),
  };
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

function readBlock(reader: BinaryReader, header: BlockHeader): BlockRef {
  const image = header.image === undefined ? undefined : readImage(reader, header.image);
  return {
    id: header.id,
    spcOid: header.spcOid,
    dbOid: header.dbOid,
    relNumber: header.relNumber,
    fork: header.flags & BLOCK_FLAG.FORK_MASK,
    blockNumber: header.blockNumber,
    willInit: (header.flags & BLOCK_FLAG.WILL_INIT) !== 0,
    image,
    data: header.dataLength === 0 ? EMPTY : reader.view(header.dataLength, 'block data'),
  };
}

function readImage(reader: BinaryReader, header: ImageHeader): BlockImage {
  const method = header.info & IMAGE_FLAG.COMPRESSED;
  return {
    data: reader.view(header.length, 'block image'),
    holeOffset: header.holeOffset,
    holeLength: header.holeLength,
    apply: (header.info & IMAGE_FLAG.APPLY) !== 0,
    compression: method === 0 ? 'none' : method === IMAGE_FLAG.PGLZ ? 'pglz' : method === IMAGE_FLAG.LZ4 ? 'lz4' : 'zstd',
  };
}
