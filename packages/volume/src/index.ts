export {
  RECORD_LSN_BYTES,
  REDO_BATCH_BYTES_MAX,
  REDO_BATCH_HEADER_BYTES,
  REDO_BATCH_MAGIC,
  recordBytesInBatch,
} from './redo-batch-layout.ts';
export { RecordRun } from './record-run.ts';
export * from './redo-batch.ts';
export * from './epoch-history.ts';
export * from './history-rules.ts';
export * from './lease.ts';
export * from './quorum.ts';
export * from './redo-ring.ts';
export * from './choose-start.ts';
export * from './open-protocol.ts';
export type { OpenFailure, OpenRequest, OpenStep } from './open-steps.ts';
export * from './volume-complete.ts';
