import { maskLsnAndChecksum, maskUnusedSpace, PAGE_SIZE, PageLayoutError, pageLower, pageUpper } from '../page/index.ts';
import { slice } from './block-data.ts';
import { blockOf, type PageMask, type PageRedo } from './resource-manager.ts';

/**
 * Replay of generic records (transam/generic_xlog.c), which extensions such as bloom use. Up to four blocks, each with
 * its own list of changes: u16 offset, u16 length, that many bytes. The hole between pd_lower and pd_upper is zeroed.
 * A page that was never written counts as zeros: an extension may log its first content as a change.
 */
export const genericRedo: PageRedo = (page, record, touched) => {
  const changes = blockOf(record, touched).data;
  let at = 0;
  while (at < changes.length) {
    const header = slice(changes, at, 4);
    const offset = header.readUInt16LE(0);
    const bytes = slice(changes, at + 4, header.readUInt16LE(2));
    if (offset + bytes.length > PAGE_SIZE) {
      throw new PageLayoutError(`a change of ${bytes.length} bytes at ${offset} passes the end of the page`);
    }
    page.set(bytes, offset);
    at += 4 + bytes.length;
  }
  page.fill(0, pageLower(page), pageUpper(page));
};

/** Blanks what may differ between the writer and replay (generic_mask). */
export const genericMask: PageMask = (page) => {
  maskLsnAndChecksum(page);
  maskUnusedSpace(page);
};
