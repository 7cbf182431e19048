import { encodeKey } from '@kube-aurora/redo-engine';
import type { ComputeImageChunk, PageImage } from '@kube-aurora/rpc';
import type { SegmentStorage } from './segment-storage.ts';

/** Everything but relation pages as of exactly one LSN, which the caller has waited for. */

const STATE_CHUNK_BYTES = 512 * 1024;
const PAGES_PER_CHUNK = 32;
const EMPTY = Buffer.alloc(0);

export async function* computeImage(storage: SegmentStorage, lsn: bigint): AsyncGenerator<ComputeImageChunk> {
  const { encoded, imagePages } = await storage.stateAt(lsn);
  for (let at = 0; at < encoded.length; at += STATE_CHUNK_BYTES) {
    const end = Math.min(encoded.length, at + STATE_CHUNK_BYTES);
    yield { volumeState: encoded.subarray(at, end), stateComplete: end === encoded.length, slruPages: [] };
  }
  for (let at = 0; at < imagePages.length; at += PAGES_PER_CHUNK) {
    const chunk = imagePages.slice(at, at + PAGES_PER_CHUNK);
    const { pages } = await storage.readPages(chunk, lsn);
    const slruPages: PageImage[] = chunk.map((page, index) => ({ key: encodeKey(page), page: pages[index] ?? EMPTY }));
    yield { volumeState: EMPTY, stateComplete: true, slruPages };
  }
}
