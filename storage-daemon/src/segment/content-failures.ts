import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { Logger } from '@kube-aurora/process';
import { EngineUnknownError } from '@kube-aurora/redo-engine';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { AnnulledAppliedError } from '../checkpoint/applier.ts';
import { errnoOf, isStoreIoError } from '../disk/disk-room.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { LogDamage } from '../redo-log/log-recovery.ts';
import type { ConditionWaiter } from './condition-waiter.ts';
import type { ContentState } from './content-state.ts';
import type { CurrentControl } from './current-control.ts';
import { StoreUnusableError } from './open-storage.ts';
import { failureOf, type Failure } from './segment-fault.ts';

/** What a segment counts; the daemon's metrics implement it. */
export interface SegmentEvents {
  corruption(kind: 'page' | 'log' | 'state' | 'control'): void;
  repair(kind: 'page' | 'log' | 'copy' | 'control'): void;
}

export interface ContentFailuresOptions {
  readonly state: ContentState;
  readonly control: CurrentControl;
  readonly conditions: ConditionWaiter;
  readonly events: SegmentEvents;
  readonly logger: Logger;
  /** A read or write failed because of the disk. */
  readonly onDiskError: (error: unknown, operation: string) => Promise<void>;
}

/**
 * Hears of everything that goes wrong with what a segment holds: tells it to the state, counts it, and says it to
 * whoever reads the log.
 */
export class ContentFailures {
  readonly #options: ContentFailuresOptions;

  constructor(options: ContentFailuresOptions) {
    this.#options = options;
  }

  /** It cannot go on as it did; `words` say more than the message. */
  fail(failure: Failure, words = failure.message): void {
    const { state, control, logger, conditions } = this.#options;
    if (!state.fail(failure)) return;
    const fields = { volume: control.value.volumeId, fault: failure.fault, reason: words };
    if (state.meaning.isHeldByDisk) logger.error(fields, 'the disk cannot be written: no redo is taken until it can');
    else logger.error(fields, 'segment damaged; reads are refused');
    conditions.recheck();
  }

  /** It could not be opened. Throws what is no failure of what is stored. */
  async notOpened(error: unknown): Promise<void> {
    const { events, onDiskError } = this.#options;
    if (error instanceof AnnulledAppliedError || error instanceof EngineUnknownError || error instanceof KeyUnusableError)
      this.fail(failureOf(error));
    else if (errnoOf(error) !== '' || isStoreIoError(error)) await onDiskError(error, 'open');
    else if (error instanceof StoreUnusableError || error instanceof StoredValueError || error instanceof LogReadError) {
      events.corruption('state');
      this.fail({ fault: { kind: 'DAMAGED_DATA', part: 'state' }, message: error.message });
    } else throw error;
  }

  /** Redo could not be applied, or what is stored not be read or written. */
  damaged(error: Error): void {
    if (errnoOf(error) === '' && !isStoreIoError(error)) {
      this.fail(failureOf(error));
      return;
    }
    this.#options
      .onDiskError(error, 'store pages')
      .catch((failure: unknown) => this.fail({ fault: { kind: 'UNKNOWN' }, message: String(failure) }));
  }

  /**
   * The log lost something in its middle. What it may have acknowledged is noted before the log forgets that it ever
   * had it.
   */
  async logDamaged({ lsn, claimedLsn, message }: LogDamage): Promise<void> {
    const { control, events, logger } = this.#options;
    events.corruption('log');
    logger.error(
      { volume: control.value.volumeId, scl: formatLsn(lsn), lostTo: formatLsn(claimedLsn), why: message },
      'the redo log is damaged; fetching the rest from peers',
    );
    if (claimedLsn > lsn && claimedLsn > control.value.recoverToLsn) await control.save({ recoverToLsn: claimedLsn });
  }

  /** A stored value fails its check; it is repaired where it is. */
  corrupt(kind: 'page' | 'log' | 'state', error: Error): void {
    const { events, control, logger } = this.#options;
    events.corruption(kind);
    logger.error({ volume: control.value.volumeId, kind, err: error }, 'stored data is damaged');
  }

  repaired(kind: 'page' | 'log' | 'copy'): void {
    const { events, control, logger } = this.#options;
    events.repair(kind);
    logger.warn({ volume: control.value.volumeId, kind }, 'repaired from a peer');
  }
}
