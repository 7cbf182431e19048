import { type BlockRef, lsn, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { spaceOf } from '../page-space.ts';

/** A record put together by hand, for cases that a real server reaches only with gigabytes of data. */
export function testRecord(
  rmid: number,
  info: number,
  mainData: Buffer,
  blocks: readonly (Partial<BlockRef> & { id: number })[],
): WalRecord {
  return {
    lsn: lsn(0x100_0028n),
    endLsn: lsn(0x100_0100n),
    prev: lsn(0x100_0000n),
    rmid,
    info,
    xid: 700,
    crc: 0,
    mainData,
    blocks: blocks.map((block) => ({
      spcOid: 1663,
      dbOid: 5,
      relNumber: 16400,
      fork: 0,
      blockNumber: 0,
      willInit: false,
      image: undefined,
      data: Buffer.alloc(0),
      ...block,
    })),
    origin: undefined,
    topLevelXid: undefined,
    raw: Buffer.alloc(0),
  };
}

/** The page that the block with this id stands for. Throws when the record has no such block. */
export function touchedBy(record: WalRecord, blockId: number): TouchedPage {
  const blockIndex = record.blocks.findIndex((block) => block.id === blockId);
  const block = record.blocks[blockIndex];
  if (block === undefined) throw new Error(`the record has no block ${blockId}`);
  const { spcOid, dbOid, relNumber, fork, blockNumber } = block;
  return {
    space: spaceOf(spcOid, dbOid, relNumber, fork),
    spcOid,
    dbOid,
    relNumber,
    fork,
    block: blockNumber,
    blockIndex,
    replaces: block.willInit,
  };
}
