/**
 * What an epoch history from outside must keep to before a segment takes it. Each rule is asked before anything is
 * saved; a history that breaks one is refused whole, and so is never passed on.
 *
 *   form        Ascending, at least one entry, no epoch 0, at most HISTORY_MAX entries.
 *   epoch step  An epoch is at most EPOCH_STEP_MAX past the highest that this segment or a peer it asked itself has
 *               promised, and at most EPOCH_MAX. Openers take the highest epoch they see and add one, so an honest one
 *               is never refused; a made-up one cannot use up the numbers, however often it is sent. (A bound from what
 *               only a quorum has would be a trap: one segment brought to the bound would keep every honest opener, who
 *               must pass it, out.)
 *   boundary    It ends a segment's log where a batch ends. A start inside a batch is nobody's: openers begin at the
 *               end of one.
 *   durable     All redo at or below a durable LSN that counts under the segment's own history counts under the other
 *               too.
 *
 * Why an honest history never breaks the last rule: redo at or below VDL was on a write quorum under the history of an
 * epoch e that they had taken. Every later opener hears of them, so it extends a history with e's, and
 * its start is at or past that VDL. The same holds for openers in between that died. Only entries of epochs that wrote
 * nothing may differ, and no redo depends on those.
 */
import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { annulPoint, epochLimit, lastEpoch, type EpochRun, type EpochStart } from './epoch-history.ts';

/** Every opening of a volume adds an entry. */
export const HISTORY_MAX = 4096;
export const EPOCH_STEP_MAX = 1024n;
/** Far from the end of 64 bits, so that an opener's `highest + 1` always exists. */
export const EPOCH_MAX = 2n ** 62n;

/** Why a history was refused. `reason` is what metrics count by. */
export interface HistoryRefusal {
  readonly reason: 'history-splits-a-batch' | 'history-malformed' | 'history-too-long' | 'epoch-jump' | 'history-contradicts-durable';
  readonly message: string;
}

/** Is `history` one that can be, whoever sends it? `highestEpoch`: see the module's text on the epoch step. */
export function refuseForm(history: readonly EpochStart[], highestEpoch: bigint): HistoryRefusal | undefined {
  if (history.length === 0) return { reason: 'history-malformed', message: 'is empty' };
  if (history.length > HISTORY_MAX) {
    return { reason: 'history-too-long', message: `has ${history.length} entries, at most ${HISTORY_MAX} are taken` };
  }
  for (const [index, entry] of history.entries()) {
    if (entry.epoch <= 0n) return { reason: 'history-malformed', message: `[${index}].epoch: must be 1 or more` };
    const before = history[index - 1];
    if (before === undefined) continue;
    if (entry.epoch <= before.epoch) {
      return { reason: 'history-malformed', message: `[${index}].epoch: ${entry.epoch} does not ascend from ${before.epoch}` };
    }
    if (entry.startLsn < before.startLsn) {
      return {
        reason: 'history-malformed',
        message: `[${index}].start_lsn: ${text(entry.startLsn)} goes back from ${text(before.startLsn)} of epoch ${before.epoch}`,
      };
    }
  }
  const jump = refuseEpoch(lastEpoch(history), highestEpoch);
  return jump === undefined ? undefined : { ...jump, message: `[${history.length - 1}].epoch: ${jump.message}` };
}

/** Is `epoch` one that an honest opener could have come to? */
export function refuseEpoch(epoch: bigint, highestEpoch: bigint): HistoryRefusal | undefined {
  if (epoch > EPOCH_MAX) return { reason: 'epoch-jump', message: `${epoch} is past ${EPOCH_MAX}, the highest that is taken` };
  if (epoch > highestEpoch + EPOCH_STEP_MAX) {
    return {
      reason: 'epoch-jump',
      message: `${epoch} is more than ${EPOCH_STEP_MAX} past ${highestEpoch}, the highest epoch that this segment and its peers have`,
    };
  }
  return undefined;
}

/** Redo that is durable and that another history annuls: where its epoch ends there, and up to where it is durable. */
export interface Contradiction {
  readonly epoch: bigint;
  /** The other history lets redo of `epoch` count up to here only. */
  readonly limitLsn: bigint;
  readonly durableLsn: bigint;
}

/**
 * The first redo in (`fromLsn`, `durableLsn`] that counts under `own` and not under `other`; undefined when there is
 * none. `fromLsn`: redo before it is no longer kept as redo, and no history decides about it any more.
 */
export function contradiction(
  own: readonly EpochStart[],
  other: readonly EpochStart[],
  fromLsn: bigint,
  durableLsn: bigint,
): Contradiction | undefined {
  for (const [index, entry] of own.entries()) {
    const ownLimit = own[index + 1]?.startLsn ?? durableLsn;
    const end = ownLimit < durableLsn ? ownLimit : durableLsn;
    const start = entry.startLsn > fromLsn ? entry.startLsn : fromLsn;
    if (end <= start) continue;
    const limit = epochLimit(other, entry.epoch);
    if (limit !== undefined && limit < end) return { epoch: entry.epoch, limitLsn: limit < 0n ? 0n : limit, durableLsn };
  }
  return undefined;
}

/** Does a history end the log (`runs`) inside a batch? `isBatchEnd` is asked of an LSN inside the log. */
export function refuseSplitBatch(
  incoming: readonly EpochStart[],
  runs: readonly EpochRun[],
  isBatchEnd: (lsn: bigint) => boolean,
): HistoryRefusal | undefined {
  const end = annulPoint(incoming, runs);
  if (end === undefined || isBatchEnd(end)) return undefined;
  return { reason: 'history-splits-a-batch', message: `ends an epoch at ${text(end)}, inside a batch of it; no writer starts there` };
}

/** The set of rules that need no look at the log, for a history that a segment is about to take. */
export function refuseHistory(
  own: readonly EpochStart[],
  incoming: readonly EpochStart[],
  known: { readonly highestEpoch: bigint; readonly fromLsn: bigint; readonly durableLsn: bigint },
): HistoryRefusal | undefined {
  const form = refuseForm(incoming, known.highestEpoch);
  if (form !== undefined) return form;
  const found = contradiction(own, incoming, known.fromLsn, known.durableLsn);
  if (found === undefined) return undefined;
  return {
    reason: 'history-contradicts-durable',
    message:
      `lets redo of epoch ${found.epoch} count up to ${text(found.limitLsn)} only, but it is durable up to ${text(found.durableLsn)}; ` +
      'what is durable is never annulled',
  };
}

function text(lsn: bigint): string {
  return formatLsn(lsn as Lsn);
}
