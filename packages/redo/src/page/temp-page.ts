import { initPage, PAGE_SIZE, pageSpecial } from './header.ts';

/**
 * Rebuilding a page beside the old one (bufpage.c, PageGetTempPageCopySpecial and PageRestoreTempPage): records such as
 * a B-tree split read the old page's items while the new page is filled.
 */

/** An empty page with the special space of `page` copied into it. */
export function tempPageWithSpecial(page: Buffer): Buffer {
  const special = pageSpecial(page);
  const temp = Buffer.alloc(PAGE_SIZE);
  initPage(temp, PAGE_SIZE - special);
  page.copy(temp, special, special, PAGE_SIZE);
  return temp;
}

/** Puts the rebuilt page in the old one's place. */
export function restoreTempPage(temp: Buffer, page: Buffer): void {
  temp.copy(page, 0, 0, PAGE_SIZE);
}
