/**
 * Where a log does what takes longer than a batch: filling ahead with zeros, of which the next sync writes a stretch
 * and the file's own metadata, and going on to a new file. The six logs of a protection group hold the same batches, so
 * that at one size each would do it for the same batch, and a commit would wait for four slow syncs at once. Each has a
 * phase of its own, and the quorum is made by those whose turn it is not.
 */

export const ZERO_AHEAD_BYTES = 1024 * 1024;
/** Files are shorter than asked for by up to this part. */
const FILE_SPREAD = 1 / 8;

/** Bytes of a log's files, of `fileBytes` that are asked for. */
export function fileBytesOf(fileBytes: number, phase: number): number {
  return Math.ceil(fileBytes * (1 - phase * FILE_SPREAD));
}

/** Up to where zeros are written for a batch that ends at `end`: the log's next boundary, at most a stretch away. */
export function zeroTo(end: number, phase: number): number {
  const shift = Math.floor(phase * ZERO_AHEAD_BYTES);
  return (Math.floor((end + shift) / ZERO_AHEAD_BYTES) + 1) * ZERO_AHEAD_BYTES - shift;
}
