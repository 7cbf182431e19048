import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { initPage, pageSpecial } from '../page/header.ts';
import { addItem } from '../page/items.ts';
import { maskLsnAndChecksum, maskUnusedSpace } from '../page/mask.ts';
import { opcode, unknownOpcode } from './resource-manager.ts';

/** Sequence records (commands/sequence.c). xl_seq_rec: 12 bytes of relation, then the sequence's one tuple. */
const SEQ_RECORD_SIZE = 12;
/** sequence_magic in the special space: 0x1717 in the first 4 of 8 bytes. */
const SEQ_SPECIAL_SIZE = 4;
const SEQ_MAGIC = 0x1717;

export function sequenceRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  if (opcode(record) !== OPCODE.SEQ.LOG) throw unknownOpcode(record, touched.blockIndex);
  initPage(page, SEQ_SPECIAL_SIZE);
  page.writeUInt32LE(SEQ_MAGIC, pageSpecial(page));
  addItem(page, record.mainData.subarray(SEQ_RECORD_SIZE), 1, 'shuffle');
}

export function sequenceMask(page: Buffer): void {
  maskLsnAndChecksum(page);
  maskUnusedSpace(page);
}
