import type { Layout } from '@kube-aurora/pg-format';
import { initPage, PAGE_SIZE } from '../../page/index.ts';

/**
 * SP-GiST pages and records (access/spgist_private.h, access/spgxlog.h). Pages end with 8 bytes of
 * SpGistPageOpaqueData: flags, count of redirections, count of placeholders, page id, each u16.
 */
const OPAQUE_SIZE = 8;
const OPAQUE_AT = PAGE_SIZE - OPAQUE_SIZE;
const FLAGS_AT = OPAQUE_AT;
const REDIRECTIONS_AT = OPAQUE_AT + 2;
const PLACEHOLDERS_AT = OPAQUE_AT + 4;
const PAGE_ID_AT = OPAQUE_AT + 6;
const SPGIST_PAGE_ID = 0xff82;

export const SPGIST_LEAF = 0x04;
export const SPGIST_NULLS = 0x08;

/** State of a tuple: the two low bits of its first byte. */
export const REDIRECT = 1;
export const DEAD = 2;
export const PLACEHOLDER = 3;
export type DeadState = typeof REDIRECT | typeof DEAD | typeof PLACEHOLDER;

/** The leaf tuple follows at {@link ADD_LEAF_TUPLE_AT}. Offset number 0 means that there is none. */
export const ADD_LEAF = {
  newPage: { type: 'bool', at: 0 },
  storesNulls: { type: 'bool', at: 1 },
  leafOffset: { type: 'u16', at: 2 },
  headOffset: { type: 'u16', at: 4 },
  parentOffset: { type: 'u16', at: 6 },
  node: { type: 'u16', at: 8 },
} as const satisfies Layout;
export const ADD_LEAF_TUPLE_AT = 10;

/** Offset numbers deleted (`moves`), inserted (moves + 1, or 1 when a dead tuple is replaced), then the leaf tuples. */
export const MOVE_LEAFS = {
  moves: { type: 'u16', at: 0 },
  newPage: { type: 'bool', at: 2 },
  replacesDead: { type: 'bool', at: 3 },
  storesNulls: { type: 'bool', at: 4 },
  parentOffset: { type: 'u16', at: 6 },
  node: { type: 'u16', at: 8 },
  redirectXid: { type: 'u32', at: 12 },
  isBuild: { type: 'bool', at: 16 },
} as const satisfies Layout;
export const MOVE_LEAFS_OFFSETS_AT = 20;

/** The inner tuple follows at {@link ADD_NODE_TUPLE_AT}. `parentBlock` is a block id, 0xff when no parent changes. */
export const ADD_NODE = {
  oldOffset: { type: 'u16', at: 0 },
  newOffset: { type: 'u16', at: 2 },
  newPage: { type: 'bool', at: 4 },
  parentBlock: { type: 'u8', at: 5 },
  parentOffset: { type: 'u16', at: 6 },
  node: { type: 'u16', at: 8 },
  redirectXid: { type: 'u32', at: 12 },
  isBuild: { type: 'bool', at: 16 },
} as const satisfies Layout;
export const ADD_NODE_TUPLE_AT = 20;

/** The prefix tuple follows at {@link SPLIT_PREFIX_AT}, then the postfix tuple. */
export const SPLIT_TUPLE = {
  prefixOffset: { type: 'u16', at: 0 },
  postfixOffset: { type: 'u16', at: 2 },
  newPage: { type: 'bool', at: 4 },
  samePage: { type: 'bool', at: 5 },
} as const satisfies Layout;
export const SPLIT_PREFIX_AT = 6;

/** Offset numbers deleted, inserted, one byte per inserted (0 source page, 1 destination), inner tuple, leaf tuples. */
export const PICK_SPLIT = {
  isRootSplit: { type: 'bool', at: 0 },
  deleted: { type: 'u16', at: 2 },
  inserted: { type: 'u16', at: 4 },
  initSource: { type: 'bool', at: 6 },
  initDestination: { type: 'bool', at: 7 },
  innerOffset: { type: 'u16', at: 8 },
  initInner: { type: 'bool', at: 10 },
  storesNulls: { type: 'bool', at: 11 },
  innerIsParent: { type: 'bool', at: 12 },
  parentOffset: { type: 'u16', at: 14 },
  node: { type: 'u16', at: 16 },
  redirectXid: { type: 'u32', at: 20 },
  isBuild: { type: 'bool', at: 24 },
} as const satisfies Layout;
export const PICK_SPLIT_OFFSETS_AT = 28;

/** Offset numbers to become dead, placeholders, moved from, moved to, chained from, chained to. */
export const VACUUM_LEAF = {
  dead: { type: 'u16', at: 0 },
  placeholders: { type: 'u16', at: 2 },
  moves: { type: 'u16', at: 4 },
  chains: { type: 'u16', at: 6 },
} as const satisfies Layout;
export const VACUUM_LEAF_OFFSETS_AT = 16;

/** spgxlogVacuumRoot: u16 count, state, then the offset numbers. */
export const VACUUM_ROOT_OFFSETS_AT = 12;

/** The offset numbers of redirections to make placeholders follow. */
export const VACUUM_REDIRECT = {
  toPlaceholder: { type: 'u16', at: 0 },
  firstPlaceholder: { type: 'u16', at: 2 },
} as const satisfies Layout;
export const VACUUM_REDIRECT_OFFSETS_AT = 10;

export function initSpgistPage(page: Buffer, flags: number): void {
  initPage(page, OPAQUE_SIZE);
  page.writeUInt16LE(flags, FLAGS_AT);
  page.writeUInt16LE(SPGIST_PAGE_ID, PAGE_ID_AT);
}

export function initLeafPage(page: Buffer, storesNulls: boolean): void {
  initSpgistPage(page, storesNulls ? SPGIST_LEAF | SPGIST_NULLS : SPGIST_LEAF);
}

/** Adds to the page's count of redirections. Counts wrap at 16 bits as in PostgreSQL. */
export function addRedirections(page: Buffer, change: number): void {
  page.writeUInt16LE((page.readUInt16LE(REDIRECTIONS_AT) + change) & 0xffff, REDIRECTIONS_AT);
}

export function addPlaceholders(page: Buffer, change: number): void {
  page.writeUInt16LE((page.readUInt16LE(PLACEHOLDERS_AT) + change) & 0xffff, PLACEHOLDERS_AT);
}
