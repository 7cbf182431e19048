import { decodeStruct, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { maskHintBits, maskLsnAndChecksum, maskUnusedSpace, PAGE_HEADER_SIZE, pageLower } from '../page/index.ts';
import { blockNumberOf, hasBlock, offsetNumbers, requireWritten } from './block-data.ts';
import { blockOf, opcode, type PageMask, type PageRedo, unknownOpcode } from './resource-manager.ts';
import {
  ADD_LEAF,
  ADD_LEAF_TUPLE_AT,
  ADD_NODE,
  ADD_NODE_TUPLE_AT,
  initLeafPage,
  initSpgistPage,
  MOVE_LEAFS,
  MOVE_LEAFS_OFFSETS_AT,
  PLACEHOLDER,
  REDIRECT,
  SPLIT_PREFIX_AT,
  SPLIT_TUPLE,
} from './spgist/layout.ts';
import { pickSplit } from './spgist/pick-split.ts';
import {
  addOrReplace,
  innerTuple,
  killTuple,
  killTuples,
  leafTuple,
  replaceTuple,
  setNextOffset,
  updateNodeLink,
} from './spgist/tuples.ts';
import { vacuumLeaf, vacuumRedirect, vacuumRoot } from './spgist/vacuum.ts';

const { SPGIST } = OPCODE;

/**
 * Replay of SP-GiST records (spgist/spgxlog.c). Blocks of each record, by id ([]: optional); which of them are built
 * anew the record itself says:
 *
 *   ADD_LEAF 0 leaf page, [1] parent · MOVE_LEAFS 0 source, 1 destination, 2 parent
 *   ADD_NODE 0 page, [1] where the tuple moved to, [2] parent · SPLIT_TUPLE 0 prefix's page, [1] postfix's page
 *   PICKSPLIT [0] source, [1] destination, 2 inner, [3] parent · VACUUM_LEAF, VACUUM_ROOT, VACUUM_REDIRECT 0 page
 *
 * Their data is the main data, not block data.
 */
export const spgistRedo: PageRedo = (page, record, touched) => {
  const { id } = blockOf(record, touched);
  switch (opcode(record)) {
    case SPGIST.ADD_LEAF:
      return addLeaf(page, record, id);
    case SPGIST.MOVE_LEAFS:
      return moveLeafs(page, record, id);
    case SPGIST.ADD_NODE:
      return addNode(page, record, id);
    case SPGIST.SPLIT_TUPLE:
      return splitTuple(page, record, id);
    case SPGIST.PICKSPLIT:
      return pickSplit(page, record, id);
    default:
      requireWritten(page);
      return vacuum(page, record, id);
  }
};

function vacuum(page: Buffer, record: WalRecord, blockId: number): void {
  switch (opcode(record)) {
    case SPGIST.VACUUM_LEAF:
      return vacuumLeaf(page, record.mainData);
    case SPGIST.VACUUM_ROOT:
      return vacuumRoot(page, record.mainData);
    case SPGIST.VACUUM_REDIRECT:
      return vacuumRedirect(page, record.mainData);
    default:
      throw unknownOpcode(record, blockId);
  }
}

function addLeaf(page: Buffer, record: WalRecord, blockId: number): void {
  const add = decodeStruct(ADD_LEAF, record.mainData);
  if (blockId === 1) {
    requireWritten(page);
    // The parent is registered whenever the leaf page has one, but its downlink changes only with a new chain head.
    if (add.parentOffset !== 0) updateNodeLink(page, add.parentOffset, add.node, blockNumberOf(record, 0), add.leafOffset);
    return;
  }
  if (add.newPage) initLeafPage(page, add.storesNulls);
  else requireWritten(page);
  const tuple = leafTuple(record.mainData, ADD_LEAF_TUPLE_AT);
  if (add.leafOffset === add.headOffset) {
    // The chain's head was dead; the new tuple takes its place.
    return replaceTuple(page, tuple, add.leafOffset);
  }
  addOrReplace(page, tuple, add.leafOffset);
  if (add.headOffset !== 0) setNextOffset(page, add.headOffset, add.leafOffset);
}

function moveLeafs(page: Buffer, record: WalRecord, blockId: number): void {
  const data = record.mainData;
  const move = decodeStruct(MOVE_LEAFS, data);
  const inserted = move.replacesDead ? 1 : move.moves + 1;
  const insertedAt = MOVE_LEAFS_OFFSETS_AT + move.moves * 2;
  const toInsert = offsetNumbers(data, insertedAt, inserted);
  const destination = blockNumberOf(record, 1);
  const head = toInsert.at(-1) ?? 0;
  if (blockId === 1 && move.newPage) initLeafPage(page, move.storesNulls);
  else requireWritten(page);
  if (blockId === 2) return updateNodeLink(page, move.parentOffset, move.node, destination, head);
  if (blockId === 0) {
    const toDelete = offsetNumbers(data, MOVE_LEAFS_OFFSETS_AT, move.moves);
    const redirection = { block: destination, offsetNumber: head, xid: move.redirectXid };
    return killTuples(page, toDelete, move.isBuild ? PLACEHOLDER : REDIRECT, PLACEHOLDER, redirection);
  }
  let at = insertedAt + inserted * 2;
  for (const offset of toInsert) {
    const tuple = leafTuple(data, at);
    addOrReplace(page, tuple, offset);
    at += tuple.length;
  }
}

/**
 * An inner tuple gained a node: in place when it still fits its page, else on another page with a redirection left
 * behind.
 */
function addNode(page: Buffer, record: WalRecord, blockId: number): void {
  const add = decodeStruct(ADD_NODE, record.mainData);
  const tuple = innerTuple(record.mainData, ADD_NODE_TUPLE_AT);
  if (blockId === 1 && add.newPage) initSpgistPage(page, 0);
  else requireWritten(page);
  if (!hasBlock(record, 1)) return replaceTuple(page, tuple, add.oldOffset);
  const newBlock = blockNumberOf(record, 1);
  if (blockId === 1) {
    addOrReplace(page, tuple, add.newOffset);
  } else if (blockId === 0) {
    const redirection = { block: newBlock, offsetNumber: add.newOffset, xid: add.redirectXid };
    killTuple(page, add.oldOffset, add.isBuild ? PLACEHOLDER : REDIRECT, redirection);
  }
  if (blockId === add.parentBlock) updateNodeLink(page, add.parentOffset, add.node, newBlock, add.newOffset);
}

/** An inner tuple's prefix was too long for a new value: the tuple becomes a shorter prefix over the rest of it. */
function splitTuple(page: Buffer, record: WalRecord, blockId: number): void {
  const split = decodeStruct(SPLIT_TUPLE, record.mainData);
  const prefix = innerTuple(record.mainData, SPLIT_PREFIX_AT);
  const postfix = innerTuple(record.mainData, SPLIT_PREFIX_AT + prefix.length);
  if (blockId === 1) {
    if (split.newPage) initSpgistPage(page, 0);
    else requireWritten(page);
    return addOrReplace(page, postfix, split.postfixOffset);
  }
  requireWritten(page);
  replaceTuple(page, prefix, split.prefixOffset);
  if (split.samePage) addOrReplace(page, postfix, split.postfixOffset);
}

/** Blanks what may differ between the writer and replay (spg_mask). */
export const spgistMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  if (pageLower(page) >= PAGE_HEADER_SIZE) maskUnusedSpace(page);
};
