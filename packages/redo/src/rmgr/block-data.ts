import type { WalRecord } from '@kube-aurora/pg-format';
import { isNewPage, PageLayoutError } from '../page/index.ts';
import { blockById } from './resource-manager.ts';

/** InvalidBlockNumber (storage/block.h): no such block. */
export const INVALID_BLOCK = 0xffff_ffff;

/** Throws PageLayoutError when the page was never written: the record changes what is not there. */
export function requireWritten(page: Buffer): void {
  if (isNewPage(page)) throw new PageLayoutError('the page that the record changes was never written');
}

/** Block number of the block registered under `id`. Throws PageLayoutError when the record has none. */
export function blockNumberOf(record: WalRecord, id: number): number {
  const block = blockById(record, id);
  if (block === undefined) throw new PageLayoutError(`the record lacks block ${id}`);
  return block.blockNumber;
}

export function hasBlock(record: WalRecord, id: number): boolean {
  return blockById(record, id) !== undefined;
}

/** An array of OffsetNumber (u16). Throws PageLayoutError when the bytes are too few. */
export function offsetNumbers(bytes: Buffer, at: number, count: number): number[] {
  const numbers = slice(bytes, at, count * 2);
  return Array.from({ length: count }, (_, i) => numbers.readUInt16LE(i * 2));
}

/** `length` bytes at `start`, all of them there. Throws PageLayoutError where `subarray` would quietly give fewer. */
export function slice(bytes: Buffer, start: number, length: number): Buffer {
  if (start + length > bytes.length) {
    throw new PageLayoutError(`the record needs ${length} bytes at ${start} of data that is ${bytes.length} bytes long`);
  }
  return bytes.subarray(start, start + length);
}
