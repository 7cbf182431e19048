import {
  addItem,
  deleteIndexItem,
  deleteIndexItems,
  indexTupleSize,
  itemBytes,
  lineCount,
  PageLayoutError,
  writeItemPointer,
} from '../../page/index.ts';
import { INVALID_BLOCK, slice } from '../block-data.ts';
import { addPlaceholders, addRedirections, type DeadState, PLACEHOLDER, REDIRECT } from './layout.ts';

/**
 * SP-GiST tuples (access/spgist_private.h):
 *   leaf   0 u32 (state 2 bits, size 30)   4 u16 (next offset 14 bits, flags)   6 heap pointer   12.. data
 *   inner  0 u32 (state 2, all-the-same 1, nodes 13, prefix size 16)   4 u16 size   8 prefix, then the nodes
 *   node   an index tuple; its item pointer is the downlink
 *   dead   0 u32 (state 2, size 30)   4 u16   6 pointer (redirections)   12 u32 xid (redirections)
 */
const INNER_HEADER_SIZE = 8;
const DEAD_TUPLE_SIZE = 16;
const NEXT_OFFSET_AT = 4;
const NEXT_OFFSET_MASK = 0x3fff;
const POINTER_AT = 6;
const XID_AT = 12;

/** Where a redirection leads, and the transaction that made it. */
export interface Redirection {
  readonly block: number;
  readonly offsetNumber: number;
  readonly xid: number;
}

/** The leaf tuple at `at`, which need not be aligned. */
export function leafTuple(data: Buffer, at: number): Buffer {
  return slice(data, at, data.readUInt32LE(at) >>> 2);
}

/** The inner tuple at `at`, which need not be aligned. */
export function innerTuple(data: Buffer, at: number): Buffer {
  return slice(data, at, data.readUInt16LE(at + 4));
}

/** Puts a tuple at an offset number: past the end, or in place of a placeholder. */
export function addOrReplace(page: Buffer, tuple: Buffer, offsetNumber: number): void {
  if (offsetNumber <= lineCount(page)) {
    if (tupleState(page, offsetNumber) !== PLACEHOLDER) {
      throw new PageLayoutError(`SP-GiST tuple ${offsetNumber} to be replaced is not a placeholder`);
    }
    addPlaceholders(page, -1);
    deleteIndexItem(page, offsetNumber);
  }
  addItem(page, tuple, offsetNumber, 'shuffle');
}

/** Replaces the tuple at an offset number, whatever it is. */
export function replaceTuple(page: Buffer, tuple: Buffer, offsetNumber: number): void {
  deleteIndexItem(page, offsetNumber);
  addItem(page, tuple, offsetNumber, 'shuffle');
}

/** Points a node of an inner tuple at its child. Throws PageLayoutError when the tuple has no such node. */
export function updateNodeLink(page: Buffer, innerOffset: number, node: number, block: number, offsetNumber: number): void {
  const tuple = itemBytes(page, innerOffset);
  const header = slice(tuple, 0, INNER_HEADER_SIZE).readUInt32LE(0);
  const nodes = (header >>> 3) & 0x1fff;
  if (node >= nodes) throw new PageLayoutError(`inner tuple ${innerOffset} has ${nodes} nodes, none is number ${node}`);
  let at = INNER_HEADER_SIZE + (header >>> 16);
  for (let i = 0; i < node; i++) at += indexTupleSize(tuple, at);
  writeItemPointer(tuple, at, block, offsetNumber);
}

/** Links a leaf tuple to the next one of its chain. */
export function setNextOffset(page: Buffer, offsetNumber: number, next: number): void {
  const tuple = itemBytes(page, offsetNumber);
  const flags = tuple.readUInt16LE(NEXT_OFFSET_AT) & ~NEXT_OFFSET_MASK;
  tuple.writeUInt16LE(flags | (next & NEXT_OFFSET_MASK), NEXT_OFFSET_AT);
}

/**
 * spgPageIndexMultiDelete: replaces tuples by dead ones of 16 bytes at the same offset numbers, the first listed by one
 * of state `first`, the others by `rest`. `redirection` is needed when either is a redirection.
 */
export function killTuples(page: Buffer, offsets: readonly number[], first: DeadState, rest: DeadState, redirection?: Redirection): void {
  const sorted = offsets.toSorted((a, b) => a - b);
  deleteIndexItems(page, sorted);
  for (const offsetNumber of sorted) {
    const state = offsetNumber === offsets[0] ? first : rest;
    addItem(page, deadTuple(state, redirection), offsetNumber, 'shuffle');
    countDead(page, state);
  }
}

/** Replaces one tuple by a dead one. */
export function killTuple(page: Buffer, offsetNumber: number, state: DeadState, redirection?: Redirection): void {
  replaceTuple(page, deadTuple(state, redirection), offsetNumber);
  countDead(page, state);
}

function countDead(page: Buffer, state: DeadState): void {
  if (state === REDIRECT) addRedirections(page, 1);
  if (state === PLACEHOLDER) addPlaceholders(page, 1);
}

function deadTuple(state: DeadState, redirection: Redirection | undefined): Buffer {
  const tuple = Buffer.alloc(DEAD_TUPLE_SIZE);
  tuple.writeUInt32LE(state | (DEAD_TUPLE_SIZE << 2), 0);
  if (state !== REDIRECT) {
    writeItemPointer(tuple, POINTER_AT, INVALID_BLOCK, 0);
    return tuple;
  }
  if (redirection === undefined) throw new PageLayoutError('a redirection must lead somewhere');
  writeItemPointer(tuple, POINTER_AT, redirection.block, redirection.offsetNumber);
  tuple.writeUInt32LE(redirection.xid, XID_AT);
  return tuple;
}

/** Turns a redirection into a placeholder; its xid stays. The page's counts are the caller's. */
export function redirectionToPlaceholder(page: Buffer, offsetNumber: number): void {
  if (tupleState(page, offsetNumber) !== REDIRECT) throw new PageLayoutError(`SP-GiST tuple ${offsetNumber} is not a redirection`);
  const tuple = itemBytes(page, offsetNumber);
  tuple.writeUInt8(tuple.readUInt8(0) | PLACEHOLDER, 0);
  writeItemPointer(tuple, POINTER_AT, INVALID_BLOCK, 0);
}

function tupleState(page: Buffer, offsetNumber: number): number {
  return itemBytes(page, offsetNumber).readUInt8(0) & 3;
}
