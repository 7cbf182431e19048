import { RMGR, RMGR_BUILTIN_MAX } from '@kube-aurora/pg-format';
import { isNewPage, PAGE_HEADER_SIZE, PageLayoutError } from '../page/header.ts';
import { maskLsnAndChecksum } from '../page/mask.ts';
import { resourceManager } from '../redo.ts';
import type { PageMask } from '../rmgr/resource-manager.ts';
import { visibilityBits, VM_FORK } from '../rmgr/visibility-map.ts';

/** Where two pages differ after masking: byte offset and a few bytes from there on, as hex. */
export interface PageDifference {
  readonly offset: number;
  readonly expected: string;
  readonly actual: string;
}

export interface ComparedPage {
  /**
   * The resource manager whose rules apply; XLOG when only images of the page were logged, which anyone may have made.
   */
  readonly rmid: number;
  readonly fork: number;
  readonly block: number;
  /** The page came from an image that left its map out; see {@link isLossyMapImage}. */
  readonly lossyMap: boolean;
  /**
   * For a visibility-map page: compare this heap block's bits only. Before 18.5 a bit is cleared a moment before the
   * record that says so is logged, so that an image taken in between lacks bits of other blocks.
   */
  readonly heapBlock: number | undefined;
}

/**
 * Compares two images of one page under PostgreSQL's masking rules; undefined when they agree. Neither is changed. The
 * visibility map is compared too, which PostgreSQL's own rules do not do.
 */
export function comparePages(page: ComparedPage, expected: Buffer, actual: Buffer): PageDifference | undefined {
  if (page.fork === VM_FORK && page.heapBlock !== undefined) return bitsDifference(page.heapBlock, expected, actual);
  if (page.fork === VM_FORK) {
    return page.lossyMap && !hasBitsBeyond(expected, actual) ? undefined : difference(expected, actual, maskLsnAndChecksum, page.block);
  }
  if (page.rmid !== RMGR.XLOG) return difference(expected, actual, resourceManager(page.rmid)?.mask ?? maskLsnAndChecksum, page.block);
  const first = difference(expected, actual, maskLsnAndChecksum, page.block);
  return first === undefined || agreesUnderSomeMask(page.block, expected, actual) ? undefined : first;
}

/**
 * CREATE DATABASE logs each page of the template as an image whose "hole" is cut out, and a visibility-map page is
 * nothing but hole to that code. Replay has an empty map then, here as on a stock standby: safe, since a bit that is
 * not set says nothing.
 */
export function isLossyMapImage(fork: number, holeLength: number): boolean {
  return fork === VM_FORK && holeLength > 0;
}

function bitsDifference(heapBlock: number, expected: Buffer, actual: Buffer): PageDifference | undefined {
  const a = visibilityBits(expected, heapBlock);
  const b = visibilityBits(actual, heapBlock);
  return a === b ? undefined : { offset: heapBlock, expected: a.toString(2), actual: b.toString(2) };
}

function hasBitsBeyond(expected: Buffer, actual: Buffer): boolean {
  for (let i = PAGE_HEADER_SIZE; i < actual.length; i++) {
    if (((actual[i] ?? 0) & ~(expected[i] ?? 0)) !== 0) return true;
  }
  return false;
}

function agreesUnderSomeMask(block: number, expected: Buffer, actual: Buffer): boolean {
  for (let rmid = 0; rmid <= RMGR_BUILTIN_MAX; rmid++) {
    const mask = resourceManager(rmid)?.mask;
    try {
      if (mask !== undefined && difference(expected, actual, mask, block) === undefined) return true;
    } catch (error) {
      // The page is not one of that resource manager's.
      if (!(error instanceof PageLayoutError || error instanceof RangeError)) throw error;
    }
  }
  return false;
}

function difference(expected: Buffer, actual: Buffer, mask: PageMask, block: number): PageDifference | undefined {
  const a = Buffer.from(expected);
  const b = Buffer.from(actual);
  if (!isNewPage(a)) mask(a, block);
  if (!isNewPage(b)) mask(b, block);
  if (a.equals(b)) return undefined;
  let offset = 0;
  while (a[offset] === b[offset]) offset++;
  return { offset, expected: a.toString('hex', offset, offset + 16), actual: b.toString('hex', offset, offset + 16) };
}
