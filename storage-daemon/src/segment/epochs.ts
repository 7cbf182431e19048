import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import { checkHistory, EpochHistoryError, lastEpoch, mergeHistories, type EpochStart } from '@kube-aurora/volume';
import { AnnulledAppliedError } from '../apply/ingest.ts';
import type { CurrentControl } from './current-control.ts';
import type { HeldContent } from './held-content.ts';
import type { Progress } from './progress.ts';
import type { AppendSession, WriterSessions } from './writer-sessions.ts';

/**
 * Which writer a segment obeys, and which redo the epoch history leaves standing.
 *
 * Invariants: an epoch or history counts only once it is in the control file; a history is written before the log is cut
 * by it, so that a crash in between is made good at open; nothing is appended while the log is being cut.
 */

export interface EpochsParts {
  readonly control: CurrentControl;
  readonly held: HeldContent;
  readonly sessions: WriterSessions;
  readonly progress: Progress;
  readonly logger: Logger;
  readonly state: () => SegmentState;
}

export class Epochs {
  readonly #parts: EpochsParts;
  /** Set while the log is being cut: appends wait for it. */
  #cutting: Promise<unknown> | undefined;

  constructor(parts: EpochsParts) {
    this.#parts = parts;
  }

  /** Resolves when the log may be appended to; undefined when it may be now. */
  get settling(): Promise<unknown> | undefined {
    return this.#cutting;
  }

  /** Do points that someone of `epoch` gives count here? Only under the same history as ours. */
  isCurrent(epoch: bigint): boolean {
    return this.#cutting === undefined && epoch === lastEpoch(this.#parts.control.value.history);
  }

  /** Throws FENCED when `epoch` was overtaken. */
  refuseLower(epoch: bigint): void {
    const promised = this.#parts.control.value.epoch;
    if (epoch < promised) throw new AuroraRpcError('FENCED', `epoch ${epoch} is over; the segment has promised ${promised}`);
  }

  /** Promises `epoch` to `writerId`: durable when it resolves. */
  open(epoch: bigint, writerId: string): Promise<SegmentState> {
    const { control, held, logger, state } = this.#parts;
    return control.exclusive(async () => {
      this.refuseLower(epoch);
      const before = control.value;
      if (epoch === before.epoch && before.writerId !== '' && before.writerId !== writerId) {
        throw new AuroraRpcError('EPOCH_TAKEN', `epoch ${epoch} belongs to ${before.writerId}`);
      }
      if (held.owes) {
        throw new AuroraRpcError(
          'NOT_READY',
          `redo up to ${formatLsn(before.owesLsn)} was lost to damage and is being fetched from peers; have ${formatLsn(held.scl)}`,
        );
      }
      if (epoch !== before.epoch || before.writerId !== writerId) {
        this.#raise(epoch, writerId);
        await held.content?.log.flushed();
        await control.save({});
        logger.info({ volume: before.volumeId, epoch, writerId, scl: formatLsn(held.scl) }, 'promised an epoch');
      }
      return state();
    });
  }

  /** Installs an opener's history, which ends with its epoch, and annuls what it rules out. */
  truncate(epoch: bigint, history: readonly EpochStart[]): Promise<SegmentState> {
    const { control, held, state } = this.#parts;
    return control.exclusive(async () => {
      this.refuseLower(epoch);
      checkIncoming(history);
      if (lastEpoch(history) !== epoch) throw new AuroraRpcError('INVALID', `history: ends with epoch ${lastEpoch(history)}, not ${epoch}`);
      if (held.content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${held.phase}`);
      await this.#install(history);
      return state();
    });
  }

  /** A writer's stream begins: raises the epoch and takes its history where this segment was away. */
  attach(session: AppendSession, writerId: string, history: readonly EpochStart[]): Promise<void> {
    const { control, held, sessions } = this.#parts;
    return control.exclusive(async () => {
      this.refuseLower(session.epoch);
      if (held.content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${held.phase}`);
      checkIncoming(history);
      if (lastEpoch(history) !== session.epoch)
        throw new AuroraRpcError('INVALID', `hello.history: ends with epoch ${lastEpoch(history)}, not ${session.epoch}`);
      // A history that ends with the epoch is written only after four segments promised it to one writer. Whoever else holds
      // this segment's promise of the same epoch raced for it and lost, and never gets to write.
      if (session.epoch > control.value.epoch || writerId !== control.value.writerId) {
        this.#raise(session.epoch, writerId);
        await control.save({});
      }
      await this.#install(history);
      sessions.add(session);
    });
  }

  /** Takes a history heard from a peer, when it is the newer one; annuls what it rules out. */
  takeHistory(history: readonly EpochStart[]): Promise<void> {
    const { control } = this.#parts;
    const { history: own, epoch } = control.value;
    if (mergeHistories(own, history, epoch) === own) return Promise.resolve();
    return control.exclusive(() => {
      checkIncoming(history);
      return this.#install(history);
    });
  }

  #raise(epoch: bigint, writerId: string): void {
    this.#parts.control.raiseEpoch(epoch, writerId);
    this.#parts.sessions.fenceBelow(epoch);
  }

  async #install(incoming: readonly EpochStart[]): Promise<void> {
    const { control, held, progress, logger } = this.#parts;
    const before = control.value;
    const { content } = held;
    const merged = mergeHistories(before.history, incoming, before.epoch);
    if (merged === before.history || content === undefined) return;
    const epoch = lastEpoch(merged);
    // From before the new history shows until the log is cut by it: nothing is appended, and no VDL is believed.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#cutting = promise;
    try {
      if (epoch > before.epoch) this.#raise(epoch, '');
      await control.save({
        history: merged.map((entry) => ({ epoch: entry.epoch, startLsn: entry.startLsn })),
        owesLsn: owedUnder(merged, before.owesLsn),
      });
      if (await content.annul(merged)) {
        logger.info({ volume: before.volumeId, epoch, scl: formatLsn(held.scl) }, 'annulled redo past the new epoch’s start');
      }
    } catch (error) {
      if (error instanceof AnnulledAppliedError) {
        const { epoch: refused, startLsn, durableLsn } = error;
        held.stop({ kind: 'HISTORY_REFUSED', epoch: refused, startLsn, durableLsn }, error.message);
      }
      throw error;
    } finally {
      this.#cutting = undefined;
      resolve();
      progress.moved();
    }
  }
}

/** Throws AuroraRpcError INVALID. */
function checkIncoming(history: readonly EpochStart[]): void {
  try {
    checkHistory(history);
  } catch (error) {
    if (error instanceof EpochHistoryError) throw new AuroraRpcError('INVALID', `history: ${error.message}`);
    throw error;
  }
}

/** What is owed of redo that a history annuls is no longer owed. */
function owedUnder(history: readonly EpochStart[], owesLsn: bigint): bigint {
  const start = history.at(-1)?.startLsn ?? 0n;
  return owesLsn > start ? start : owesLsn;
}
