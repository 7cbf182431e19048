import {
  BLOCK_FLAG,
  BLOCK_ID,
  type BlockRef,
  DB_STATE,
  IMAGE_FLAG,
  lsn,
  type PgControl,
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  recordCrc,
  recordEndLsn,
  type WalRecord,
} from '@kube-aurora/pg-format';

/** Records made by hand, for tests of what no real log holds at will: other minor versions, wrap-around, damage. */
export type MadeRecord = Partial<Omit<WalRecord, 'blocks' | 'lsn' | 'endLsn' | 'raw'>> & {
  rmid: number;
  info: number;
  lsn?: number;
  blocks?: readonly (Partial<BlockRef> & { id: number; blockNumber: number })[];
};

export function madeRecord(fields: MadeRecord): WalRecord {
  const start = lsn(fields.lsn ?? 0x100_0028);
  const made = {
    prev: lsn(0),
    xid: 0,
    crc: 0,
    mainData: Buffer.alloc(0),
    origin: undefined,
    topLevelXid: undefined,
    ...fields,
    lsn: start,
    blocks: (fields.blocks ?? []).map((block) => ({
      spcOid: 1663,
      dbOid: 5,
      relNumber: 16384,
      fork: 0,
      willInit: false,
      image: undefined,
      data: Buffer.alloc(0),
      ...block,
    })),
  };
  const raw = encoded(made);
  return { ...made, raw, endLsn: recordEndLsn(start, raw.length, false) };
}

/** As PostgreSQL would write it, without what a record may say about its origin; images are not compressed. */
function encoded({ rmid, info, xid, prev, mainData, blocks }: Omit<WalRecord, 'raw' | 'endLsn'>): Buffer {
  const headers = blocks.map(({ id, fork, willInit, image, data, spcOid, dbOid, relNumber, blockNumber }) => {
    const flags =
      fork |
      (data.length > 0 ? BLOCK_FLAG.HAS_DATA : 0) |
      (image === undefined ? 0 : BLOCK_FLAG.HAS_IMAGE) |
      (willInit ? BLOCK_FLAG.WILL_INIT : 0);
    const bits = image === undefined ? 0 : (image.apply ? IMAGE_FLAG.APPLY : 0) | (image.holeLength > 0 ? IMAGE_FLAG.HAS_HOLE : 0);
    const imageHeader = image === undefined ? [] : [packed([2, image.data.length], [2, image.holeOffset], [1, bits])];
    const names = packed([4, spcOid], [4, dbOid], [4, relNumber], [4, blockNumber]);
    return Buffer.concat([packed([1, id], [1, flags], [2, data.length]), ...imageHeader, names]);
  });
  const mainHeader = mainData.length === 0 ? Buffer.alloc(0) : packed([1, BLOCK_ID.DATA_LONG], [4, mainData.length]);
  const payload = blocks.flatMap(({ image, data }) => [image?.data ?? Buffer.alloc(0), data]);
  const raw = Buffer.concat([Buffer.alloc(RECORD_HEADER_BYTES), ...headers, mainHeader, ...payload, mainData]);
  raw.writeUInt32LE(raw.length, RECORD_HEADER.totalLength.at);
  raw.writeUInt32LE(xid, RECORD_HEADER.xid.at);
  raw.writeBigUInt64LE(prev, RECORD_HEADER.prev.at);
  raw.writeUInt8(info, RECORD_HEADER.info.at);
  raw.writeUInt8(rmid, RECORD_HEADER.rmid.at);
  raw.writeUInt32LE(recordCrc(raw), RECORD_HEADER.crc.at);
  return raw;
}

/** Little-endian numbers one after another: `[4, x]` is a u32, `[2, x]` a u16, `[1, x]` a byte, `[8, x]` a u64. */
export function packed(...numbers: readonly (readonly [1 | 2 | 4 | 8, number])[]): Buffer {
  return Buffer.concat(
    numbers.map(([width, value]) => {
      const bytes = Buffer.alloc(width);
      if (width === 8) bytes.writeBigUInt64LE(BigInt(value));
      else bytes.writeUIntLE(value, 0, width);
      return bytes;
    }),
  );
}

/** pg_control of a volume that was just made. */
export const MADE_CONTROL: PgControl = {
  systemIdentifier: 7n,
  pgControlVersion: 1800,
  catalogVersion: 202506291,
  state: DB_STATE.SHUTDOWNED,
  time: 0n,
  checkPoint: lsn(0x100_0028),
  unloggedLsn: lsn(1000),
  minRecoveryPoint: lsn(0),
  minRecoveryPointTimeline: 0,
  backupStartPoint: lsn(0),
  backupEndPoint: lsn(0),
  backupEndRequired: false,
  walLevel: 1,
  walLogHints: false,
  maxConnections: 100,
  maxWorkerProcesses: 8,
  maxWalSenders: 10,
  maxPreparedXacts: 0,
  maxLocksPerXact: 64,
  trackCommitTimestamp: false,
  maxAlign: 8,
  floatFormat: 1234567,
  blockBytes: 8192,
  blocksPerSegmentFile: 131_072,
  walBlockBytes: 8192,
  walSegmentBytes: 1 << 24,
  nameDataLength: 64,
  indexMaxKeys: 32,
  toastMaxChunkBytes: 1996,
  largeObjectBlockBytes: 2048,
  float8ByValue: true,
  dataChecksumVersion: 0,
  defaultCharSignedness: true,
  checkPointCopy: {
    redo: lsn(0x100_0028),
    timeline: 1,
    prevTimeline: 1,
    fullPageWrites: false,
    walLevel: 1,
    nextXid: 750n,
    nextOid: 16384,
    nextMulti: 1,
    nextMultiOffset: 0,
    oldestXid: 744,
    oldestXidDb: 1,
    oldestMulti: 1,
    oldestMultiDb: 1,
    time: 0n,
    oldestCommitTsXid: 0,
    newestCommitTsXid: 0,
    oldestActiveXid: 0,
  },
  mockAuthenticationNonce: Buffer.alloc(32, 1),
};
