import { spaceBytes } from '@kube-aurora/redo-engine';
import { PAGE_PREFIX } from './place-index.ts';

/** Where pages of spaces stand among the keys of a page store. */

/** The first key of spaces that begin so. */
export function firstKeyOf(spaces: string): Buffer {
  return Buffer.concat([Buffer.from([PAGE_PREFIX]), spaceBytes(spaces)]);
}

/**
 * The first key after those of spaces that begin so: its last byte that can be counted up is, and what follows goes.
 */
export function keyAfter(spaces: string): Buffer {
  const key = firstKeyOf(spaces);
  let last = key.length - 1;
  while (key[last] === 0xff) last--;
  key.writeUInt8(key.readUInt8(last) + 1, last);
  return key.subarray(0, last + 1);
}
