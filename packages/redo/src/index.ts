/** Redo: what each WAL record does to pages and to everything outside pages. Pure. */
export type { Redo, TouchedPage } from './contract.ts';
export { loadPageRedo } from './native/addon.ts';
export * from './page-key.ts';
export { pageIdOf, pageKeyOf } from './page-space.ts';
export { postgres18 } from './postgres18.ts';
export { NATIVE_RMGRS, redo, resourceManager, RMGRS_NEEDING_IMAGES } from './redo.ts';
export type { PageMask, PageRedo, ResourceManager } from './rmgr/resource-manager.ts';
export { SLRU_MAX_PAGE, SLRU_PAGES_PER_SEGMENT } from './slru/layout.ts';
export { touchedPages } from './touched-pages.ts';
export { type PreparedTransaction, preparedTransaction, subxidAt, transactionEnd } from './xact-record.ts';
export { applyEffects } from './state/apply-effects.ts';
export { type PrimaryLimits, primaryLimitsOf } from './state/control-effects.ts';
export { decodeVolumeState, encodeVolumeState } from './state/codec.ts';
export { type ForkSize, PACKED_FORK, RelationTable } from './state/relation-table.ts';
export { SlruRange } from './state/slru-range.ts';
export { TransactionTable, xidPrecedes } from './state/transaction-table.ts';
export {
  type AccessExclusiveLock,
  addDatabase,
  addPrepared,
  checkpointAt,
  type DatabaseDirectory,
  directoryKey,
  type Effect,
  emptyVolumeState,
  type OriginProgress,
  orphanedXids,
  type Prepared,
  preparedXids,
  type RelationMap,
  setRelationMap,
  SLRU_NAMES,
  type VolumeState,
} from './state/volume-state.ts';
