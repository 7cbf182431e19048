import type { ChainLink } from '../redo-log/log-chain.ts';
import { LogAheadError, LogForkedError, LogGoneError } from '../redo-log/log-errors.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';

/**
 * A segment's redo, for whoever keeps it elsewhere: a peer that lacks it, a backup.
 *
 *   - Gives whole, checked batches in order, back to back, in stretches of about STRETCH_BYTES: from the batch that
 *     follows `from` to the stretch that covers `toLsn`, or to what was on disk when reading began. What is not on disk
 *     is never given.
 *   - `from` must be a place of this very log: a batch ends there, and it is of that epoch (Raft's prevLogIndex and
 *     prevLogTerm). What is given therefore continues the reader's own redo.
 *   - Throws, before anything is given: LogGoneError when the log starts later, LogAheadError when it ends earlier,
 *     LogForkedError when it has another batch there. Throws LogReadError instead of the stretch with damaged redo.
 *   - Ends early, without an error, once redo that it was about to give is annulled, or the log is closed. The reader
 *     may hold redo that was annulled since; by its own epoch history it tells.
 *   - It holds nothing back: whoever needs redo to stay says so to Retention.
 */
const STRETCH_BYTES = 512 * 1024;

export async function* redoFrom(log: RedoLog, from: ChainLink, toLsn?: bigint): AsyncGenerator<Buffer, void, undefined> {
  const { durable, startLsn } = log;
  const end = toLsn === undefined || toLsn > durable.lsn ? durable.lsn : toLsn;
  let { lsn: at, epoch } = from;
  if (at < startLsn) throw new LogGoneError(at, startLsn);
  if (at > durable.lsn) throw new LogAheadError(at, durable.lsn);
  const here = log.epochAt(at);
  if (here !== epoch) throw new LogForkedError(from, here);
  while (at < end) {
    if (log.isClosed || log.epochAt(at) !== epoch) return;
    const { batches, end: reached } = log.reader.batchesFrom(at, STRETCH_BYTES);
    if (batches.length === 0) return;
    ({ lsn: at, epoch } = reached);
    yield batches;
  }
}
