import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { TouchedPage } from '../contract.ts';
import { maskLsnAndChecksum } from '../page/mask.ts';
import { unknownOpcode } from './resource-manager.ts';
import { truncateVisibilityMap, VM_BLOCKS_PER_PAGE } from './visibility-map.ts';

/** SMGR records (catalog/storage_xlog.h). Truncation of a heap clears the tail of its visibility map's last page. */
export const SMGR_TRUNCATE_HEAP = 0x01;
export const SMGR_TRUNCATE_VM = 0x02;
export const SMGR_TRUNCATE_FSM = 0x04;

/** xl_smgr_truncate: 0 blkno u32, 4 spcOid, 8 dbOid, 12 relNumber (u32), 16 flags i32. */
export function truncatedTo(record: WalRecord): number {
  return record.mainData.readUInt32LE(0);
}

export function truncateFlags(record: WalRecord): number {
  return record.mainData.readInt32LE(16);
}

/** Whether the truncation leaves a page of the visibility map that also covered blocks now gone. */
export function cutsVisibilityMapPage(record: WalRecord): boolean {
  return (truncateFlags(record) & SMGR_TRUNCATE_VM) !== 0 && truncatedTo(record) % VM_BLOCKS_PER_PAGE !== 0;
}

export function smgrRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  if (RMGRS.opcodeOf(record.rmid, record.info) !== OPCODE.SMGR.TRUNCATE) throw unknownOpcode(record, touched.block);
  truncateVisibilityMap(page, truncatedTo(record));
}

export function smgrMask(page: Buffer): void {
  maskLsnAndChecksum(page);
}
