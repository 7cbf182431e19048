import { decodeStruct, type StructOf, type WalRecord } from '@kube-aurora/pg-format';
import { PageLayoutError } from '../../page/index.ts';
import { blockNumberOf, offsetNumbers, requireWritten, slice } from '../block-data.ts';
import { initLeafPage, initSpgistPage, PICK_SPLIT, PICK_SPLIT_OFFSETS_AT, PLACEHOLDER, REDIRECT, SPGIST_NULLS } from './layout.ts';
import { addOrReplace, innerTuple, killTuples, leafTuple, updateNodeLink } from './tuples.ts';

/**
 * PICKSPLIT replaces the leaf tuples of one node by an inner tuple over several: blocks [0] source leaf page (none when
 * the root splits), [1] destination leaf page, 2 inner tuple's page, [3] parent's page when it is yet another.
 */
type PickSplit = StructOf<typeof PICK_SPLIT>;

export function pickSplit(page: Buffer, record: WalRecord, blockId: number): void {
  const split = decodeStruct(PICK_SPLIT, record.mainData);
  const isInitialised =
    (blockId === 0 && split.initSource) || (blockId === 1 && split.initDestination) || (blockId === 2 && split.initInner);
  if (!isInitialised) requireWritten(page);
  switch (blockId) {
    case 0:
      changeSource(page, record, split);
      return addLeafTuples(page, record, split, 0);
    case 1:
      if (split.initDestination) initLeafPage(page, split.storesNulls);
      return addLeafTuples(page, record, split, 1);
    case 2:
      return addInner(page, record, split);
    case 3:
      return linkParent(page, record, split);
    default:
      throw new PageLayoutError(`a pick-split record has no use for block ${blockId}`);
  }
}

/** Offset of the inner tuple in the main data: after the offset numbers and the page selectors. */
function innerAt(split: PickSplit): number {
  return PICK_SPLIT_OFFSETS_AT + split.deleted * 2 + split.inserted * 3;
}

function changeSource(page: Buffer, record: WalRecord, split: PickSplit): void {
  if (split.initSource) return initLeafPage(page, split.storesNulls);
  const offsets = offsetNumbers(record.mainData, PICK_SPLIT_OFFSETS_AT, split.deleted);
  // No scan can be under way in an index that is being built, so nothing needs a redirection.
  if (split.isBuild) return killTuples(page, offsets, PLACEHOLDER, PLACEHOLDER);
  const redirection = { block: blockNumberOf(record, 2), offsetNumber: split.innerOffset, xid: split.redirectXid };
  return killTuples(page, offsets, REDIRECT, PLACEHOLDER, redirection);
}

/** Adds the leaf tuples whose selector names this page. */
function addLeafTuples(page: Buffer, record: WalRecord, split: PickSplit, selector: 0 | 1): void {
  const data = record.mainData;
  const offsetsAt = PICK_SPLIT_OFFSETS_AT + split.deleted * 2;
  const offsets = offsetNumbers(data, offsetsAt, split.inserted);
  const selectors = slice(data, offsetsAt + split.inserted * 2, split.inserted);
  let at = innerAt(split) + innerTuple(data, innerAt(split)).length;
  for (const [i, offset] of offsets.entries()) {
    const tuple = leafTuple(data, at);
    at += tuple.length;
    const isDestination = selectors[i] !== 0;
    if (isDestination === (selector === 1)) addOrReplace(page, tuple, offset);
  }
}

function addInner(page: Buffer, record: WalRecord, split: PickSplit): void {
  if (split.initInner) initSpgistPage(page, split.storesNulls ? SPGIST_NULLS : 0);
  addOrReplace(page, innerTuple(record.mainData, innerAt(split)), split.innerOffset);
  if (split.innerIsParent) linkParent(page, record, split);
}

function linkParent(page: Buffer, record: WalRecord, split: PickSplit): void {
  updateNodeLink(page, split.parentOffset, split.node, blockNumberOf(record, 2), split.innerOffset);
}
