import type { WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { PageLayoutError } from '../page/header.ts';
import { maskLsnAndChecksum } from '../page/mask.ts';

/**
 * XLOG records (access/transam/xlog.c). The only ones with pages are FPI and FPI_FOR_HINT, whose images the dispatcher
 * restores: a block that comes here had none, and touchedPages names no such block.
 */
export function xlogRedo(_page: Buffer, _record: WalRecord, touched: TouchedPage): void {
  throw new PageLayoutError(`block ${touched.block} of a full-page image record has no image`);
}

export function xlogMask(page: Buffer): void {
  maskLsnAndChecksum(page);
}
