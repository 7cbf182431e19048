import type { Clock } from '@kube-aurora/clock';
import { RedoError } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type CallContext } from '@kube-aurora/rpc';
import { TooOldError } from '../pages/page-plan.ts';
import { NoSoundCopyError, StoredValueError } from '../pages/stored-value.ts';
import { LogAheadError, LogForkedError, LogGoneError, LogReadError } from '../redo-log/log-errors.ts';

/** What every call that is answered has: a deadline, and errors by the protocol's names. */

/** A call without a deadline gets this one. */
const DEADLINE_DEFAULT_MS = 30_000;
/** The answer must still travel after a wait. */
const ANSWER_MARGIN_MS = 5;

/** On the clock's `now`. */
export function deadlineOf(context: CallContext, clock: Clock): number {
  return Math.min(context.deadline, clock.now() + DEADLINE_DEFAULT_MS) - ANSWER_MARGIN_MS;
}

/** Gives failures of reads the code that the protocol has for them. */
export function asRpcError(error: unknown): unknown {
  if (error instanceof TooOldError || error instanceof LogGoneError) return new AuroraRpcError('TOO_OLD', error.message);
  if (error instanceof LogAheadError) return new AuroraRpcError('BEHIND', error.message);
  if (error instanceof LogForkedError) return new AuroraRpcError('INVALID', `from_epoch: ${error.message}`);
  if (error instanceof StoredValueError || error instanceof NoSoundCopyError || error instanceof LogReadError || error instanceof RedoError)
    return new AuroraRpcError('DAMAGED', error.message);
  return error;
}
