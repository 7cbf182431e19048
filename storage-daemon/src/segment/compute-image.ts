import { PAGE_BYTES } from '@kube-aurora/pg-format';
import { encodePageKey } from '@kube-aurora/redo';
import type { ComputeImageChunk, PageImage } from '@kube-aurora/rpc';
import type { SegmentStorage } from './segment-storage.ts';

/** Everything but relation pages as of exactly one LSN, which the caller has waited for. */

const STATE_CHUNK_BYTES = 512 * 1024;
const PAGES_PER_CHUNK = 32;
const EMPTY = Buffer.alloc(0);

export async function* computeImage(storage: SegmentStorage, lsn: bigint): AsyncGenerator<ComputeImageChunk> {
  const { encoded, slruPages: ids } = await storage.stateAt(lsn);
  for (let at = 0; at < encoded.length; at += STATE_CHUNK_BYTES) {
    const end = Math.min(encoded.length, at + STATE_CHUNK_BYTES);
    yield { volumeState: encoded.subarray(at, end), stateComplete: end === encoded.length, slruPages: [] };
  }
  for (let at = 0; at < ids.length; at += PAGES_PER_CHUNK) {
    const slruPages: PageImage[] = [];
    for (const id of ids.slice(at, at + PAGES_PER_CHUNK)) {
      slruPages.push({ key: encodePageKey(id), page: (await storage.readPage(id, lsn)) ?? Buffer.alloc(PAGE_BYTES) });
    }
    yield { volumeState: EMPTY, stateComplete: true, slruPages };
  }
}
