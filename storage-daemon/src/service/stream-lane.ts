import { getSystemErrorName } from 'node:util';
import type { Clock } from '@kube-aurora/clock';
import type { AppendCall, TakenAppend } from '@kube-aurora/rpc';
import { checkedBatchesIn } from '@kube-aurora/volume';
import type { LentLog } from '../redo-log/lent-log.ts';
import { lendLog } from '../segment/lending.ts';
import type { Segment } from '../segment/segment.ts';

/**
 * When a writer's stream is lent to the thread that has its connection, and what becomes of what that takes: see lent-log.ts for the rules.
 * A request that comes here all the same has ended it there: it was not next, or too long, or nothing is lent.
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
/** A longer request comes in several frames. */
const REQUEST_BYTES_MAX = 60 * 1024;

export class StreamLane {
  readonly #options: StreamLaneOptions;
  #lent: LentLog | undefined;
  #inARow = 0;
  #isPlanned = false;
  #isOver = false;

  constructor(options: StreamLaneOptions) {
    this.#options = options;
  }

  /** A request with so many bytes of redo came here. */
  passed(bytes: number): void {
    this.#takeBack();
    this.#inARow = bytes <= REQUEST_BYTES_MAX ? this.#inARow + 1 : 0;
  }

  /** Everything that was taken may be durable: lends the stream soon, where that is worth it. */
  consider(): void {
    if (this.#isOver || this.#isPlanned || this.#inARow < LEND_AFTER || this.#lent?.isOver === false) return;
    this.#isPlanned = true;
    this.#options.clock.soon(() => {
      this.#isPlanned = false;
      if (!this.#isOver) this.#lend();
    });
  }

  /** The stream ends, or its epoch does: nothing is taken any more when it returns. */
  end(): void {
    this.#isOver = true;
    this.#takeBack();
  }

  #takeBack(): void {
    this.#lent?.takeBack();
    this.#lent = undefined;
  }

  #lend(): void {
    const { call, segment, epoch } = this.#options;
    this.#lent = lendLog(segment, epoch, (terms, lent) => call.lend(terms, (taken) => this.#take(taken, lent)));
  }

  #take(taken: readonly TakenAppend[], lent: LentLog): void {
    let endLsn = 0n;
    for (const { batches, syncMs, errno } of taken) {
      for (const { header, batch } of checkedBatchesIn(batches)) {
        lent.appended(header, batch);
        endLsn = header.endLsn;
      }
      if (errno !== 0) lent.failed(diskError(errno));
      else if (syncMs > 0) lent.synced(syncMs);
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
