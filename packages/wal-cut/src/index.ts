/** Cuts PostgreSQL's WAL into the records of redo batches, in C. */
export { loadWalCut } from './addon.ts';
export { RunCutter, type NoteRecord } from './run-cutter.ts';
