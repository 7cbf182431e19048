import type { GetPagesRequest, GetPagesResponse } from '@kube-aurora/rpc';
import type { SegmentContent } from '../segment/content.ts';

const PAGE_BYTES = 8192;

export async function readPages(content: SegmentContent, request: GetPagesRequest): Promise<GetPagesResponse> {
  const { spcOid, dbOid, relNumber, fork, block, count } = request;
  const lsn = Number(request.lsn);
  const present = Buffer.alloc(count);
  const pages = Buffer.allocUnsafe(count * PAGE_BYTES);
  const read = async (at: number): Promise<void> => {
    const { page } = await content.pageAt({ spcOid, dbOid, relNumber, fork, block: block + at }, lsn);
    if (page === undefined) {
      pages.fill(0, at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
    } else {
      present[at] = 1;
      page.copy(pages, at * PAGE_BYTES);
    }
  };
  if (count === 1) await read(0);
  else await Promise.all(Array.from({ length: count }, (_, at) => read(at)));
  return { present, pages, lsn: request.lsn };
}
