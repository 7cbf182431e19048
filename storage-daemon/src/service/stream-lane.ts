import { getSystemErrorName } from 'node:util';
import type { Clock, Timer } from '@kube-aurora/clock';
import { LENT_REDO_BYTES_MAX, type AppendCall, type TakenAppend } from '@kube-aurora/rpc';
import { checkedBatchesIn } from '@kube-aurora/volume';
import type { LentLog } from '../redo-log/lent-log.ts';
import { lendLog } from '../segment/lending.ts';
import type { Segment } from '../segment/segment.ts';

/**
 * When a writer's stream is lent to the thread that has its connection, and what becomes of what that takes: see lent-log.ts for the rules.
 * A request that comes here all the same has ended it there: it was not next, or too long, or the file had no room for it; or nothing is lent.
 */
export interface StreamLaneOptions {
  readonly call: AppendCall;
  readonly segment: Segment;
  readonly epoch: bigint;
  readonly clock: Clock;
  /** Redo, and what the writer said with it, was taken: before anybody hears that it is durable. */
  readonly onTaken: (taken: readonly TakenAppend[], endLsn: bigint) => void;
}

/** Requests in a row that would have been taken there. A stream that is often given back is not worth lending. */
const LEND_AFTER = 4;
/**
 * Under load there is always something under way that must be dealt with first: what comes next is kept back for that, for as long as it gets to the
 * disk, and no longer than this without any of it.
 */
const HOLD_MS = 50;
/** One that could not be lent by then is not tried again before so many times as many requests. */
const PATIENCE = 4;
const LEND_AFTER_MAX = 4096;

export class StreamLane {
  readonly #options: StreamLaneOptions;
  #lent: LentLog | undefined;
  #inARow = 0;
  #lendAfter = LEND_AFTER;
  #isPlanned = false;
  /** Requests are kept back until it fires, or the stream is lent. */
  #holding: Timer | undefined;
  #isOver = false;

  constructor(options: StreamLaneOptions) {
    this.#options = options;
  }

  /** A request with so many bytes of redo came here. */
  passed(bytes: number): void {
    this.#takeBack();
    this.#inARow = bytes <= LENT_REDO_BYTES_MAX ? this.#inARow + 1 : 0;
  }

  /** Everything that was taken may be durable: lends the stream soon, where that is worth it. */
  consider(): void {
    if (this.#isOver || this.#isPlanned || this.#inARow < this.#lendAfter || this.#lent?.isOver === false) return;
    this.#isPlanned = true;
    this.#options.clock.soon(() => {
      this.#isPlanned = false;
      if (!this.#isOver) this.#lend();
    });
  }

  /** The stream ends, or its epoch does: nothing is taken any more when it returns. */
  end(): void {
    this.#isOver = true;
    this.#letGo();
    this.#takeBack();
  }

  #takeBack(): void {
    this.#lent?.takeBack();
    this.#lent = undefined;
  }

  #lend(): void {
    const { call, segment, epoch } = this.#options;
    const lent = lendLog(segment, epoch, (terms, lent) => call.lend(terms, (taken) => this.#take(taken, lent)));
    if (lent === 'busy') {
      this.#hold();
      return;
    }
    this.#letGo();
    if (lent !== undefined) this.#lendAfter = LEND_AFTER;
    this.#lent = lent;
  }

  /** What has come is dealt with, and then it is lent: acknowledging it looks again. */
  #hold(): void {
    const { call, clock } = this.#options;
    if (this.#holding === undefined && !call.hold(true)) return;
    this.#holding?.cancel();
    this.#holding = clock.after(HOLD_MS, () => {
      this.#lendAfter = Math.min(this.#lendAfter * PATIENCE, LEND_AFTER_MAX);
      this.#inARow = 0;
      this.#letGo();
    });
  }

  #letGo(): void {
    if (this.#holding === undefined) return;
    this.#holding.cancel();
    this.#holding = undefined;
    this.#options.call.hold(false);
  }

  #take(taken: readonly TakenAppend[], lent: LentLog): void {
    let endLsn = 0n;
    for (const { batches, syncMs, aheadBytes, errno } of taken) {
      for (const { header, batch } of checkedBatchesIn(batches)) {
        lent.appended(header, batch);
        endLsn = header.endLsn;
      }
      if (errno !== 0) lent.failed(diskError(errno));
      else if (syncMs > 0) lent.synced(syncMs, aheadBytes);
    }
    this.#options.onTaken(taken, endLsn);
    lent.told();
    // What cannot be applied as fast is held back here.
    const { segment } = this.#options;
    if (segment.queuedBytes > segment.limits.queueBytes) this.#takeBack();
  }
}

/** As Node's own calls would have thrown it. */
function diskError(errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: fdatasync or write of redo`), { code, errno: -errno });
}
