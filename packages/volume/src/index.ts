export * from './redo-batch.ts';
export * from './epoch-history.ts';
