import { type BlockRef, DB_STATE, lsn, type PgControl, type WalRecord } from '@kube-aurora/pg-format';

/** Records made by hand, for tests of what no real log holds at will: other minor versions, wrap-around, damage. */
export type MadeRecord = Partial<Omit<WalRecord, 'blocks' | 'lsn' | 'endLsn'>> & {
  rmid: number;
  info: number;
  lsn?: number;
  blocks?: readonly (Partial<BlockRef> & { id: number; blockNumber: number })[];
};

export function madeRecord(fields: MadeRecord): WalRecord {
  const start = fields.lsn ?? 0x100_0028;
  return {
    prev: lsn(0),
    xid: 0,
    crc: 0,
    mainData: Buffer.alloc(0),
    origin: undefined,
    topLevelXid: undefined,
    raw: Buffer.alloc(0),
    ...fields,
    lsn: lsn(start),
    endLsn: lsn(start + 0x40),
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
