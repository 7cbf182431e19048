import { decodeStruct } from '@kube-aurora/pg-format';
import { deleteIndexItems, lineCount, linePointer, linePosition } from '../../page/index.ts';
import { offsetNumbers } from '../block-data.ts';
import {
  addPlaceholders,
  addRedirections,
  DEAD,
  PLACEHOLDER,
  VACUUM_LEAF,
  VACUUM_LEAF_OFFSETS_AT,
  VACUUM_REDIRECT,
  VACUUM_REDIRECT_OFFSETS_AT,
  VACUUM_ROOT_OFFSETS_AT,
} from './layout.ts';
import { killTuples, redirectionToPlaceholder, setNextOffset } from './tuples.ts';

/**
 * Vacuum of SP-GiST pages (spgist/spgxlog.c): each record changes its one block, and all it needs is in the main data.
 */

export function vacuumLeaf(page: Buffer, data: Buffer): void {
  const { dead, placeholders, moves, chains } = decodeStruct(VACUUM_LEAF, data);
  let at = VACUUM_LEAF_OFFSETS_AT;
  const next = (count: number): number[] => {
    const taken = offsetNumbers(data, at, count);
    at += count * 2;
    return taken;
  };
  const toDead = next(dead);
  const toPlaceholder = next(placeholders);
  const moveFrom = next(moves);
  const moveTo = next(moves);
  const chainFrom = next(chains);
  const chainTo = next(chains);

  killTuples(page, toDead, DEAD, DEAD);
  killTuples(page, toPlaceholder, PLACEHOLDER, PLACEHOLDER);
  // A chain's head must keep its offset number: the first live tuple trades line pointers with the dead head.
  for (const [i, from] of moveFrom.entries()) swapLines(page, from, moveTo[i] ?? 0);
  killTuples(page, moveFrom, PLACEHOLDER, PLACEHOLDER);
  for (const [i, from] of chainFrom.entries()) setNextOffset(page, from, chainTo[i] ?? 0);
}

function swapLines(page: Buffer, a: number, b: number): void {
  const pointer = linePointer(page, a);
  page.writeUInt32LE(linePointer(page, b), linePosition(a));
  page.writeUInt32LE(pointer, linePosition(b));
}

/** The root while it is still a leaf: tuples are removed for good. */
export function vacuumRoot(page: Buffer, data: Buffer): void {
  deleteIndexItems(page, offsetNumbers(data, VACUUM_ROOT_OFFSETS_AT, data.readUInt16LE(0)));
}

/** Redirections nobody can follow any more become placeholders; placeholders at the end of the page go. */
export function vacuumRedirect(page: Buffer, data: Buffer): void {
  const { toPlaceholder, firstPlaceholder } = decodeStruct(VACUUM_REDIRECT, data);
  for (const offset of offsetNumbers(data, VACUUM_REDIRECT_OFFSETS_AT, toPlaceholder)) redirectionToPlaceholder(page, offset);
  addRedirections(page, -toPlaceholder);
  addPlaceholders(page, toPlaceholder);
  if (firstPlaceholder === 0) return;
  const doomed: number[] = [];
  for (let offset = firstPlaceholder; offset <= lineCount(page); offset++) doomed.push(offset);
  addPlaceholders(page, -doomed.length);
  deleteIndexItems(page, doomed);
}
