import { type BlockRef, lsn, type WalRecord } from '@kube-aurora/pg-format';

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
