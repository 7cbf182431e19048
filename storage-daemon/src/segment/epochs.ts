import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import {
  lastEpoch,
  LEASE_MS_MAX,
  mergeHistories,
  refuseSplitBatch,
  refuseEpoch,
  refuseForm,
  refuseHistory,
  type EpochStart,
  type HistoryRefusal,
  type LeaseHolder,
} from '@kube-aurora/volume';
import { AnnulledAppliedError } from '../checkpoint/applier.ts';
import type { NotedLease } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';
import { failureOf } from './segment-fault.ts';
import type { SegmentLifecycle } from './segment-lifecycle.ts';
import type { ConditionWaiter } from './condition-waiter.ts';
import type { AppendSession, WriterSessions } from './writer-sessions.ts';

/**
 * Which writer a segment obeys, and which redo the epoch history leaves standing.
 *
 * Invariants: an epoch or history counts only once it is in the control file; a history is written before the log is
 * annulled by it, so that a crash in between is made good at open; nothing is appended while redo is being annulled.
 * Epochs and histories are held against the rules (history-rules.ts) before anything of them is saved, shown or passed
 * on.
 */

export interface EpochsOptions {
  readonly control: CurrentControl;
  readonly lifecycle: SegmentLifecycle;
  readonly sessions: WriterSessions;
  readonly conditions: ConditionWaiter;
  readonly logger: Logger;
  /** What the control file must say of leases from the promise of an epoch to a writer on: see leases.ts. */
  readonly notedLeases: (promised: LeaseHolder, leaseMs: number) => readonly NotedLease[];
  readonly state: () => SegmentState;
  /** The highest epoch among the peers, as they last answered. */
  readonly highestPeerEpoch: () => bigint;
  /** Asks every peer for its state; resolves when all have answered or failed, or soon. */
  readonly askPeers: () => Promise<void>;
}

export class Epochs {
  readonly #options: EpochsOptions;
  /** Set while redo is being annulled: appends wait for it. */
  #annulling: Promise<unknown> | undefined;

  constructor(options: EpochsOptions) {
    this.#options = options;
  }

  /** Resolves when the log may be appended to again; undefined when it may be now. */
  get annulling(): Promise<unknown> | undefined {
    return this.#annulling;
  }

  /** Do points that someone of `epoch` gives count here? Only under the same history as ours. */
  isCurrent(epoch: bigint): boolean {
    return this.#annulling === undefined && epoch === lastEpoch(this.#options.control.value.history);
  }

  /** Throws FENCED when `epoch` was overtaken. */
  refuseLower(epoch: bigint): void {
    const promised = this.#options.control.value.epoch;
    if (epoch < promised) throw new AuroraRpcError('FENCED', `epoch ${epoch} is over; the segment has promised ${promised}`);
  }

  get #highestEpoch(): bigint {
    const own = this.#options.control.value.epoch;
    const peers = this.#options.highestPeerEpoch();
    return own > peers ? own : peers;
  }

  /** Throws AuroraRpcError when `epoch` is too far ahead; first asks the peers, who may have gone on without us. */
  async refuseJump(epoch: bigint, field: string): Promise<void> {
    if (refuseEpoch(epoch, this.#highestEpoch) === undefined) return;
    await this.#options.askPeers();
    throwRefusal(refuseEpoch(epoch, this.#highestEpoch), field);
  }

  /** What is wrong with a history that would take the place of ours. */
  #refusalOf(history: readonly EpochStart[]): HistoryRefusal | undefined {
    const { control, lifecycle } = this.#options;
    const fromLsn = lifecycle.storage?.startLsn ?? 0n;
    return refuseHistory(control.value.history, history, { highestEpoch: this.#highestEpoch, fromLsn, durableLsn: lifecycle.durableLsn });
  }

  /** Promises `epoch` to `writerId`, whose leases will be no longer than `leaseMs`: durable when it resolves. */
  async open(epoch: bigint, writerId: string, leaseMs: number): Promise<SegmentState> {
    const { control, lifecycle, logger, state, notedLeases } = this.#options;
    await this.refuseJump(epoch, 'epoch');
    return control.exclusive(async () => {
      this.refuseLower(epoch);
      const before = control.value;
      if (epoch === before.epoch && before.writerId !== '' && before.writerId !== writerId) {
        throw new AuroraRpcError('EPOCH_TAKEN', `epoch ${epoch} belongs to ${before.writerId}`);
      }
      if (lifecycle.mustRecover) {
        throw new AuroraRpcError(
          'NOT_READY',
          `redo up to ${formatLsn(before.recoverToLsn)} was lost to damage and is being fetched from peers; have ${formatLsn(lifecycle.scl)}`,
        );
      }
      if (epoch !== before.epoch || before.writerId !== writerId) {
        this.#raise(epoch, writerId);
        await lifecycle.storage?.flushed().catch((error: unknown) => {
          control.takeBack();
          throw error;
        });
        await control.save({ leases: notedLeases({ epoch, writerId }, leaseMs) });
        logger.info({ volume: before.volumeId, epoch, writerId, scl: formatLsn(lifecycle.scl) }, 'promised an epoch');
      }
      return state();
    });
  }

  /** Installs an opener's history, which ends with its epoch, and annuls what it rules out. */
  async install(epoch: bigint, history: readonly EpochStart[]): Promise<SegmentState> {
    const { control, lifecycle, state } = this.#options;
    await this.refuseJump(epoch, 'epoch');
    return control.exclusive(async () => {
      this.refuseLower(epoch);
      throwRefusal(refuseForm(history, this.#highestEpoch), 'history');
      if (lastEpoch(history) !== epoch) throw new AuroraRpcError('INVALID', `history: ends with epoch ${lastEpoch(history)}, not ${epoch}`);
      if (lifecycle.storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${lifecycle.phase}`);
      await this.#install(history, 'history');
      return state();
    });
  }

  /** A writer's stream begins: raises the epoch and takes its history where this segment was away. */
  async attach(session: AppendSession, writerId: string, history: readonly EpochStart[]): Promise<void> {
    const { control, lifecycle, sessions, notedLeases } = this.#options;
    await this.refuseJump(session.epoch, 'hello.epoch');
    return control.exclusive(async () => {
      this.refuseLower(session.epoch);
      if (lifecycle.storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${lifecycle.phase}`);
      throwRefusal(refuseForm(history, this.#highestEpoch), 'hello.history');
      if (lastEpoch(history) !== session.epoch)
        throw new AuroraRpcError('INVALID', `hello.history: ends with epoch ${lastEpoch(history)}, not ${session.epoch}`);
      // First: a writer whose history is refused gets no promise.
      await this.#install(history, 'hello.history');
      // A history that ends with the epoch is written only after four segments promised it to one writer. Whoever else
      // holds this segment's promise of the same epoch raced for it and lost, and never gets to write.
      if (session.epoch > control.value.epoch || writerId !== control.value.writerId) {
        this.#raise(session.epoch, writerId);
        await control.save({ leases: notedLeases({ epoch: session.epoch, writerId }, LEASE_MS_MAX) });
      }
      sessions.add(session);
    });
  }

  /**
   * Takes a history that a peer answered with, when it is the newer one; annuls what it rules out. Throws
   * AuroraRpcError when it breaks a rule.
   */
  async takeHistory(history: readonly EpochStart[]): Promise<void> {
    if (!this.#isNews(history)) return;
    await this.refuseJump(lastEpoch(history), 'state.history');
    await this.#options.control.exclusive(() => this.#install(history, 'state.history'));
  }

  /** Throws AuroraRpcError when a copy from this peer would bring in an epoch or history that breaks a rule. */
  async refuseCopy({ epoch, baseEpoch, history }: SegmentState): Promise<void> {
    const { control } = this.#options;
    await this.refuseJump(epoch, 'state.epoch');
    throwRefusal(refuseForm(history, this.#highestEpoch), 'state.history');
    const isSameBase = control.value.ready && control.value.baseEpoch === baseEpoch;
    // Ours stays where it is the newer one.
    if (isSameBase && lastEpoch(history) > lastEpoch(control.value.history)) throwRefusal(this.#refusalOf(history), 'state.history');
  }

  #isNews(history: readonly EpochStart[]): boolean {
    const { history: own, epoch } = this.#options.control.value;
    return mergeHistories(own, history, epoch) !== own;
  }

  #raise(epoch: bigint, writerId: string): void {
    this.#options.control.raiseEpoch(epoch, writerId);
    this.#options.sessions.fenceBelow(epoch);
  }

  /** Throws AuroraRpcError, with nothing changed, when the history breaks a rule. */
  async #install(incoming: readonly EpochStart[], field: string): Promise<void> {
    const { control, lifecycle, conditions, logger } = this.#options;
    const before = control.value;
    const { storage } = lifecycle;
    const merged = mergeHistories(before.history, incoming, before.epoch);
    if (merged === before.history || storage === undefined) return;
    throwRefusal(this.#refusalOf(incoming), field);
    const epoch = lastEpoch(merged);
    // From before the new history shows until redo is annulled by it: nothing is appended, and no VDL is believed.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#annulling = promise;
    try {
      await storage.flushed();
      throwRefusal(
        refuseSplitBatch(incoming, storage.runs, (lsn) => storage.isBatchEnd(lsn)),
        field,
      );
      if (epoch > before.epoch) this.#raise(epoch, '');
      await control.save({
        history: merged.map((entry) => ({ epoch: entry.epoch, startLsn: entry.startLsn })),
        recoverToLsn: recoverToUnder(merged, before.recoverToLsn),
        // Nothing else would say it where nothing of a tail's log is left.
        ...(before.role === 'TAIL' ? { logStart: storage.start } : {}),
      });
      if (await storage.annul(merged)) {
        logger.info({ volume: before.volumeId, epoch, scl: formatLsn(lifecycle.scl) }, 'annulled redo past the new epoch’s start');
      }
    } catch (error) {
      if (error instanceof AnnulledAppliedError) {
        lifecycle.fail(failureOf(error));
      }
      throw error;
    } finally {
      this.#annulling = undefined;
      resolve();
      conditions.recheck();
    }
  }
}

/** Throws AuroraRpcError that names the field. */
function throwRefusal(refusal: HistoryRefusal | undefined, field: string): void {
  if (refusal === undefined) return;
  const code = refusal.reason === 'history-malformed' ? 'INVALID' : 'REFUSED';
  throw new AuroraRpcError(
    code,
    refusal.message.startsWith('[') ? `${field}${refusal.message}` : `${field}: ${refusal.message}`,
    refusal.reason,
  );
}

/** Redo that a history annuls need not be recovered. */
function recoverToUnder(history: readonly EpochStart[], recoverToLsn: bigint): bigint {
  const start = history.at(-1)?.startLsn ?? 0n;
  return recoverToLsn > start ? start : recoverToLsn;
}
