import { annulPoint, lastEpoch, type EpochStart } from '@kube-aurora/volume';
import { AnnulledAppliedError } from '../checkpoint/applier.ts';
import type { ChainLink } from '../redo-log/log-chain.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { SegmentControl } from './control-file.ts';
import { cutToWhatCounts, openLog, type KnownOfLog, type StorageOptions } from './open-storage.ts';
import { RedoScrub } from './redo-scrub.ts';
import { RedoStorage } from './redo-storage.ts';

/**
 * What a tail holds: redo alone. It applies nothing, so what it knows to be durable is what it has heard of VDL.
 *
 * Invariants:
 * - redo goes only once every full segment has stored pages with it: Retention has a firm holder for each of them. So
 *   whatever a zone and one more take with them, redo or pages with it are left;
 * - nothing past VDL goes, however far those pages are: a later history may annul it, and then they have other redo
 *   there;
 * - the log never becomes empty by that: the batch that ends where it is durable stays, since nothing but the log says
 *   how far a tail is. Where annulling leaves nothing, the control file has said before where the log starts.
 */

export interface TailOptions extends StorageOptions {
  /** The log starts later than the control file says: that is noted when it resolves, before anything is cut off. */
  readonly onStart: (start: ChainLink) => Promise<void>;
}

export class TailStorage extends RedoStorage {
  readonly #options: StorageOptions;
  readonly #scrub: RedoScrub;
  readonly #unsubscribe: () => void;
  #vdl: bigint;
  #pgmrpl = 0n;

  private constructor(options: StorageOptions, log: RedoLog) {
    super(options.engine, log);
    this.#options = options;
    // What is before the log's start is in the pages of all full ones.
    this.#vdl = log.startLsn;
    this.#scrub = new RedoScrub(log, options.onCorruption);
    this.#unsubscribe = options.durable.subscribe(() => options.onProgress());
  }

  /** Opens the log that the control file points to. Throws AnnulledAppliedError, and errors of the disk as they are. */
  static async open(options: TailOptions, control: SegmentControl, known: KnownOfLog): Promise<TailStorage> {
    const log = await openLog(options, control, control.logStart, () => undefined);
    try {
      const { logStart } = control;
      const start = { lsn: log.startLsn, epoch: log.epochAt(log.startLsn) ?? logStart.epoch };
      if (start.lsn > logStart.lsn) await options.onStart(start);
      await cutToWhatCounts(log, control, start.lsn > logStart.lsn ? start : logStart, known);
      return new TailStorage(options, log);
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  get appliedLsn(): bigint {
    const { lsn } = this.durable;
    return this.#vdl < lsn ? this.#vdl : lsn;
  }

  get vdl(): bigint {
    return this.#vdl;
  }

  get pgmrpl(): bigint {
    return this.#pgmrpl;
  }

  get checkpointLsn(): bigint {
    return 0n;
  }

  get queuedBytes(): number {
    return this.log.waitingBytes;
  }

  storeBytes(): Promise<number> {
    return Promise.resolve(0);
  }

  protected accept(): void {
    // Nothing is applied here.
  }

  noteVdl(lsn: bigint): void {
    if (lsn <= this.#vdl) return;
    this.#vdl = lsn;
    this.#options.onProgress();
  }

  notePgmrpl(lsn: bigint): void {
    if (lsn > this.#pgmrpl) this.#pgmrpl = lsn;
  }

  async annul(history: readonly EpochStart[]): Promise<boolean> {
    await this.log.flushed();
    const point = annulPoint(history, this.log.runs);
    if (point === undefined) return false;
    if (point < this.appliedLsn) throw new AnnulledAppliedError(point, this.appliedLsn, lastEpoch(history));
    if (this.#vdl > point) this.#vdl = point;
    await this.log.annul(point);
    return true;
  }

  scrubStep(bytes: number, repairLog: (lsn: bigint) => Promise<boolean>): Promise<number> {
    return this.#scrub.step(bytes, repairLog);
  }

  async dropRedo(): Promise<void> {
    const kept = this.durable.lsn - 1n;
    await this.log.dropBelow(this.#options.dropLimit(this.#vdl < kept ? this.#vdl : kept));
  }

  async close(): Promise<void> {
    await this.log.close();
    this.#unsubscribe();
  }
}
