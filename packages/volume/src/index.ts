export * from './redo-batch.ts';
export * from './epoch-history.ts';
export * from './history-rules.ts';
export * from './quorum.ts';
export * from './redo-ring.ts';
export * from './open-protocol.ts';
export * from './volume-complete.ts';
