import type { Lsn } from './lsn.ts';
import { RecordWalk } from './record-walk.ts';
import { RMGR } from './rmgr.ts';
import { BLOCK_FLAG, IMAGE_FLAG, RECORD_HEADER } from './wal-layout.ts';
import { recordEndLsn } from './wal-position.ts';
import type { BlockImage, BlockRef, WalRecord } from './wal-record.ts';

const EMPTY = Buffer.alloc(0);
const XLOG_SWITCH = 0x40;
/** Filled anew for each record; decoding is synchronous. */
const WALK = new RecordWalk();

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

  constructor(walk: RecordWalk, lsn: Lsn, endLsn: Lsn | undefined) {
    this.raw = walk.bytes;
    this.lsn = lsn;
    this.xid = walk.xid;
    this.rmid = walk.rmid;
    this.info = walk.info;
    this.blocks = blocksOf(walk);
    this.origin = walk.origin;
    this.topLevelXid = walk.topLevelXid;
    this.#mainLength = walk.mainBytes;
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

const NO_BLOCKS: readonly BlockRef[] = [];

function blocksOf(walk: RecordWalk): readonly BlockRef[] {
  if (walk.blocks === 0) return NO_BLOCKS;
  let at = walk.payloadAt;
  const first = new DecodedBlock(walk, 0, at);
  // Most have one. A list that grows gets room for many more.
  if (walk.blocks === 1) return [first];
  const blocks = [first];
  for (let block = 1; block < walk.blocks; block++) {
    at += (walk.imageBytes[block - 1] ?? 0) + (walk.dataBytes[block - 1] ?? 0);
    blocks.push(new DecodedBlock(walk, block, at));
  }
  return blocks;
}

class DecodedBlock implements BlockRef {
  readonly id: number;
  readonly fork: number;
  readonly willInit: boolean;
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly blockNumber: number;
  readonly image: BlockImage | undefined;
  readonly #raw: Buffer;
  readonly #dataAt: number;
  readonly #dataBytes: number;
  #data: Buffer | undefined;

  /** Its payload, the image and then its data, begins at byte `at`. */
  constructor(walk: RecordWalk, block: number, at: number) {
    const flags = walk.flags[block] ?? 0;
    this.#raw = walk.bytes;
    this.id = walk.ids[block] ?? 0;
    this.fork = flags & BLOCK_FLAG.FORK_MASK;
    this.willInit = (flags & BLOCK_FLAG.WILL_INIT) !== 0;
    this.spcOid = walk.spcOids[block] ?? 0;
    this.dbOid = walk.dbOids[block] ?? 0;
    this.relNumber = walk.relNumbers[block] ?? 0;
    this.blockNumber = walk.blockNumbers[block] ?? 0;
    this.image = (flags & BLOCK_FLAG.HAS_IMAGE) === 0 ? undefined : imageAt(walk, block, at);
    this.#dataAt = at + (walk.imageBytes[block] ?? 0);
    this.#dataBytes = walk.dataBytes[block] ?? 0;
  }

  get data(): Buffer {
    return (this.#data ??= this.#dataBytes === 0 ? EMPTY : this.#raw.subarray(this.#dataAt, this.#dataAt + this.#dataBytes));
  }
}

function imageAt(walk: RecordWalk, block: number, at: number): BlockImage {
  const info = walk.imageInfos[block] ?? 0;
  const method = info & IMAGE_FLAG.COMPRESSED;
  return {
    data: walk.bytes.subarray(at, at + (walk.imageBytes[block] ?? 0)),
    holeOffset: walk.holeOffsets[block] ?? 0,
    holeLength: walk.holeBytes[block] ?? 0,
    apply: (info & IMAGE_FLAG.APPLY) !== 0,
    compression: method === 0 ? 'none' : method === IMAGE_FLAG.PGLZ ? 'pglz' : method === IMAGE_FLAG.LZ4 ? 'lz4' : 'zstd',
  };
}

/**
 * Decodes one record (record-walk.ts). `raw` is the record without page headers, exactly tot_len bytes; the result holds views into it. The
 * CRC is the stream decoder's business and is not checked here. `endLsn` is worked out when not given.
 *
 * Throws WalFormatError when the bytes are not a record.
 */
export function decodeRecord(raw: Buffer, lsn: Lsn, endLsn?: Lsn): WalRecord {
  return new DecodedRecord(WALK.read(raw, 0, raw.length, lsn), lsn, endLsn);
}

/** True for XLOG_SWITCH, whose end is its segment's end. */
export function isSwitchRecord(rmid: number, info: number): boolean {
  return rmid === RMGR.XLOG && (info & 0xf0) === XLOG_SWITCH;
}
