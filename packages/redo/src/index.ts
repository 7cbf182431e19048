/** Redo: what each WAL record does to pages and to everything outside pages. Pure. */
export { type Redo, RedoError, type TouchedPage } from './contract.ts';
export * from './page-key.ts';
export { NATIVE_RMGRS, redo, resourceManager, RMGRS_NEEDING_IMAGES } from './redo.ts';
export type { PageMask, PageRedo, ResourceManager } from './rmgr/resource-manager.ts';
export { SLRU_MAX_PAGE, SLRU_PAGES_PER_SEGMENT } from './slru/layout.ts';
export { touchedPages } from './touched-pages.ts';
export { type PreparedTransaction, preparedTransaction } from './xact-record.ts';
