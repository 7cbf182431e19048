import type { Clock, Timer } from '@kube-aurora/clock';
import type { AppendRequest, AppendResponse, LaneTerms, TakenAppend } from '@kube-aurora/rpc';
import { batchesIn, RedoBatchError } from '@kube-aurora/volume';
import type { OpenFiles } from './machine.ts';

/**
 * What packages/append-lane does in a thread, in the simulation's time: takes what is exactly next, writes, syncs, acknowledges, and tells a
 * little later. Between write and sync time goes by, in which the machine may die.
 */
const TELL_AFTER_MS = 200;
const SYNC_MS = 0.3;

export interface SimulatedLaneOptions {
  readonly terms: LaneTerms;
  readonly files: OpenFiles;
  readonly clock: Clock;
  readonly onTaken: (taken: readonly TakenAppend[]) => void;
  readonly acknowledge: (response: AppendResponse) => void;
}

export class SimulatedLane {
  readonly #options: SimulatedLaneOptions;
  #offset: number;
  #end: LaneTerms['end'];
  #isLent = true;
  /** Written and not synced. */
  #written: TakenAppend[] = [];
  #untold: TakenAppend[] = [];
  #timer: Timer | undefined;
  #tellTimer: Timer | undefined;

  constructor(options: SimulatedLaneOptions) {
    this.#options = options;
    this.#offset = options.terms.offset;
    this.#end = options.terms.end;
  }

  /** Takes a message that is next; what is not ends the lane. */
  offer(request: AppendRequest): boolean {
    if (!this.#isLent) return false;
    const end = this.#next(request);
    if (end === undefined) {
      this.#finish();
      this.#isLent = false;
      return false;
    }
    const { terms, files, clock } = this.#options;
    const batches = request.batches ?? Buffer.alloc(0);
    this.#end = end;
    const taken = {
      stream: 0,
      vdl: request.vdl,
      pgmrpl: request.pgmrpl,
      batches,
      frameBytes: 0,
      frames: 1,
      syncMs: 0,
      waitSeconds: 0,
      aheadBytes: 0,
      errno: 0,
    };
    try {
      if (batches.length > 0) files.write(terms.descriptor, batches, this.#offset);
    } catch (error) {
      this.#failed(error);
      return true;
    }
    this.#offset += batches.length;
    this.#written.push(taken);
    this.#timer ??= clock.after(SYNC_MS, () => this.#finish());
    return true;
  }

  /** Where the chain ends with it; undefined where it is not next. */
  #next({ hello, batches }: AppendRequest): LaneTerms['end'] | undefined {
    const { terms } = this.#options;
    if (hello !== undefined || (batches?.length ?? 0) > terms.capacity - this.#offset) return undefined;
    let end = this.#end;
    try {
      for (const { header } of batchesIn(batches ?? Buffer.alloc(0))) {
        const isNext = header.backlink === end.lsn && header.previousEpoch === end.epoch;
        if (!isNext || header.epoch !== terms.epoch || header.pg !== terms.pg) return undefined;
        end = { lsn: header.endLsn, epoch: header.epoch };
      }
    } catch (error) {
      if (error instanceof RedoBatchError) return undefined;
      throw error;
    }
    return end;
  }

  #finish(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const written = this.#written;
    if (written.length === 0) return;
    this.#written = [];
    const { terms, files, acknowledge, clock } = this.#options;
    if (written.some(({ batches }) => batches.length > 0)) {
      try {
        files.sync(terms.descriptor);
      } catch (error) {
        this.#failed(error);
        return;
      }
      acknowledge({ scl: this.#end.lsn, epoch: terms.epoch, result: 'OK', message: '', followed: terms.isFollowed });
    }
    this.#untold.push(...written.map((one, at) => ({ ...one, syncMs: at === written.length - 1 ? SYNC_MS : 0 })));
    this.#tellTimer ??= clock.after(terms.isFollowed ? 0 : TELL_AFTER_MS, () => this.#tell());
  }

  #failed(error: unknown): void {
    const errno = error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? -error.errno : 5;
    this.#isLent = false;
    this.#written = [];
    this.#untold.push({
      stream: 0,
      vdl: 0n,
      pgmrpl: 0n,
      batches: Buffer.alloc(0),
      frameBytes: 0,
      frames: 1,
      syncMs: 0,
      waitSeconds: 0,
      aheadBytes: 0,
      errno,
    });
    this.#tellTimer ??= this.#options.clock.after(0, () => this.#tell());
  }

  #tell(): void {
    this.#tellTimer?.cancel();
    this.#tellTimer = undefined;
    const untold = this.#untold;
    this.#untold = [];
    if (untold.length > 0) this.#options.onTaken(untold);
  }

  refresh(): void {
    this.#tell();
  }

  /** A write and sync under way is waited for. */
  reclaim(): void {
    this.#finish();
    this.#isLent = false;
    this.#tell();
  }
}
