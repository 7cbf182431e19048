import type { BlockRef, WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { PageLayoutError } from '../page/header.ts';

/**
 * Applies one record to one of its pages, in place. The dispatcher has already dealt with applied images and with pages
 * that have the change, hands in 8192 zero bytes for a page that did not exist, and sets pd_lsn afterwards.
 * Throws PageLayoutError when the page or record does not fit; the dispatcher adds LSN, record and page to it.
 */
export type PageRedo = (page: Buffer, record: WalRecord, touched: TouchedPage) => void;

/** Blanks what the writer may have changed without WAL, in place on a copy, before two pages are compared. */
export type PageMask = (page: Buffer, block: number) => void;

/** One resource manager's part in replay (access/rmgrlist.h). */
export interface ResourceManager {
  readonly redo: PageRedo;
  readonly mask: PageMask;
  /**
   * For the few records whose applied image is not the final page (GiST clear-follow-right, hash bucket flags): what
   * redo does to the page after the image was restored.
   */
  readonly afterImage?: PageRedo;
}

/** The registered block that `touched` stands for. Throws PageLayoutError for effects outside registered blocks. */
export function blockOf(record: WalRecord, touched: TouchedPage): BlockRef {
  const block = touched.blockIndex === undefined ? undefined : record.blocks[touched.blockIndex];
  if (block === undefined) throw new PageLayoutError('the record has no block for this page');
  return block;
}

/** The block registered under `id`, or undefined. */
export function blockById(record: WalRecord, id: number): BlockRef | undefined {
  for (const block of record.blocks) if (block.id === id) return block;
  return undefined;
}

/** High nibble of the info byte: the resource manager's opcode. */
export function opcode(record: WalRecord): number {
  return record.info & 0xf0;
}

/** Thrown by a resource manager for an opcode that PostgreSQL 18 does not have, or a block the opcode does not use. */
export function unknownOpcode(record: WalRecord, block: number | undefined): PageLayoutError {
  const where = block === undefined ? '' : ` for block ${block}`;
  return new PageLayoutError(`no redo for info 0x${record.info.toString(16).padStart(2, '0')}${where}`);
}
