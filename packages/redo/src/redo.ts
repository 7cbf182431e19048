import { type BlockRef, restoreBlockImage, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from './rmgrs.ts';
import { RedoError } from '@kube-aurora/redo-engine';
import type { Redo, TouchedPage } from './contract.ts';
import { formatPage, SLRU_FORK } from './page-key.ts';
import { getPageLsn, isNewPage, PAGE_SIZE, setPageLsn } from './page/header.ts';
import { pageRedo } from './native/addon.ts';
import { brinMask, brinRedo } from './rmgr/brin.ts';
import { btreeMask, btreeRedo } from './rmgr/btree.ts';
import { genericMask, genericRedo } from './rmgr/generic.ts';
import { ginMask, ginRedo } from './rmgr/gin.ts';
import { gistAfterImage, gistMask, gistRedo } from './rmgr/gist.ts';
import { hashAfterImage, hashMask, hashRedo } from './rmgr/hash.ts';
import { heapMask, heapRedo } from './rmgr/heap.ts';
import type { ResourceManager } from './rmgr/resource-manager.ts';
import { sequenceMask, sequenceRedo } from './rmgr/sequence.ts';
import { smgrMask, smgrRedo } from './rmgr/smgr.ts';
import { spgistMask, spgistRedo } from './rmgr/spgist.ts';
import { xlogMask, xlogRedo } from './rmgr/xlog.ts';
import { slruRedo } from './slru/redo.ts';

/** Resource managers that change relation pages, by id. */
const MANAGERS: readonly (ResourceManager | undefined)[] = managersById({
  [RMGR.XLOG]: { redo: xlogRedo, mask: xlogMask },
  [RMGR.SMGR]: { redo: smgrRedo, mask: smgrMask },
  [RMGR.HEAP2]: { redo: heapRedo, mask: heapMask },
  [RMGR.HEAP]: { redo: heapRedo, mask: heapMask },
  [RMGR.BTREE]: { redo: btreeRedo, mask: btreeMask },
  [RMGR.HASH]: { redo: hashRedo, mask: hashMask, afterImage: hashAfterImage },
  [RMGR.GIN]: { redo: ginRedo, mask: ginMask },
  [RMGR.GIST]: { redo: gistRedo, mask: gistMask, afterImage: gistAfterImage },
  [RMGR.SEQ]: { redo: sequenceRedo, mask: sequenceMask },
  [RMGR.SPGIST]: { redo: spgistRedo, mask: spgistMask },
  [RMGR.BRIN]: { redo: brinRedo, mask: brinMask },
  [RMGR.GENERIC]: { redo: genericRedo, mask: genericMask },
});

/** Names that wal_consistency_checking takes (resource managers that attach page images), by id. */
const CONSISTENCY_CHECKING: readonly (readonly [number, string])[] = [
  [RMGR.HEAP2, 'heap2'],
  [RMGR.HEAP, 'heap'],
  [RMGR.BTREE, 'btree'],
  [RMGR.HASH, 'hash'],
  [RMGR.GIN, 'gin'],
  [RMGR.GIST, 'gist'],
  [RMGR.SEQ, 'sequence'],
  [RMGR.SPGIST, 'spgist'],
  [RMGR.BRIN, 'brin'],
  [RMGR.GENERIC, 'generic'],
];

/** Resource managers whose records are replayed from what they say, by their names in wal_consistency_checking. */
export const NATIVE_RMGRS: readonly string[] = CONSISTENCY_CHECKING.filter(([rmid]) => MANAGERS[rmid] !== undefined).map(
  ([, name]) => name,
);

/**
 * The rest: the compute must set wal_consistency_checking to these, so that their records carry the page's after-image.
 */
export const RMGRS_NEEDING_IMAGES: readonly string[] = CONSISTENCY_CHECKING.filter(([rmid]) => MANAGERS[rmid] === undefined).map(
  ([, name]) => name,
);

function managersById(byId: Readonly<Record<number, ResourceManager>>): (ResourceManager | undefined)[] {
  const managers: (ResourceManager | undefined)[] = [];
  for (let rmid = 0; rmid <= RMGR.LOGICALMSG; rmid++) managers.push(byId[rmid]);
  return managers;
}

/** The resource manager with that id, when it has redo for pages. Extensions' (128 and up) have none. */
export function resourceManager(rmid: number): ResourceManager | undefined {
  return MANAGERS[rmid];
}

/**
 * Applies `record` to one of the pages that `touchedPages(record)` names. The page is changed in place and returned;
 * when it did not exist a new one is. A relation page that has the change already (pd_lsn) is returned as it is; SLRU
 * pages have no LSN, so the caller applies each record to them once, in order.
 *
 * A full-page image is restored where PostgreSQL would restore it. Where there is no redo for the resource manager, an
 * image that was attached for consistency checking stands in: it is the page after the change.
 *
 * Throws RedoError when the record or the page is not what it must be.
 */
export const redo: Redo = (page, record, touched) => {
  const target = page ?? Buffer.alloc(PAGE_SIZE);
  try {
    if (redoInC(target, record, touched)) return target;
    if (touched.fork === SLRU_FORK) slruRedo(target, record, touched);
    else if (!hasChange(target, record)) changeRelationPage(target, record, touched);
    return target;
  } catch (error) {
    throw asRedoError(error, record, touched);
  }
};

/** The frequent records are redone in C, in runs (native/run.ts) as one by one; false for the others. */
function redoInC(page: Buffer, { raw, lsn }: WalRecord, { spcOid, dbOid, relNumber, fork, block }: TouchedPage): boolean {
  return pageRedo().apply(raw, lsn, page, spcOid, dbOid, relNumber, fork, block);
}

function hasChange(page: Buffer, record: WalRecord): boolean {
  return !isNewPage(page) && getPageLsn(page) >= record.endLsn;
}

function changeRelationPage(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const block = touched.blockIndex === undefined ? undefined : record.blocks[touched.blockIndex];
  const manager = MANAGERS[record.rmid];
  if (block?.image?.apply === true) {
    restoreImage(page, block);
    manager?.afterImage?.(page, record, touched);
  } else if (manager !== undefined) {
    manager.redo(page, record, touched);
  } else if (block?.image !== undefined) {
    restoreImage(page, block);
  } else {
    throw new RangeError('there is no redo for this resource manager and the record has no page image');
  }
  // A new page has no header to put an LSN in; images of such pages do occur.
  if (!isNewPage(page)) setPageLsn(page, record.endLsn);
}

function restoreImage(page: Buffer, block: BlockRef): void {
  if (block.image !== undefined) restoreBlockImage(block.image).copy(page);
}

function asRedoError(error: unknown, record: WalRecord, touched: TouchedPage): RedoError {
  const reason = error instanceof Error ? error.message : String(error);
  const name = RMGRS.recordName(record);
  const page = formatPage(touched);
  const failure = new RedoError(`${name} cannot be applied to ${page}: ${reason}`, { lsn: record.lsn, record: name, page });
  failure.cause = error;
  return failure;
}
