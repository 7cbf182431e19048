/**
 * Which transactions run, as the log shows it. An xid counts as running from the moment the log shows it or any later
 * one (PostgreSQL's KnownAssignedXids rule: xids in the gap were assigned, though nothing of theirs was logged yet)
 * until its end is logged. Subtransactions count like any other. All xids are 32 bits; the epoch is kept beside the
 * next one.
 */

/** First xid that is not one of the three permanent ones. */
const FIRST_NORMAL_XID = 3;

/** TransactionIdPrecedes for normal xids: wrap-around order. */
export function xidPrecedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export class TransactionTable {
  readonly running: Set<number>;
  #next: number;
  #epoch: bigint;

  constructor(nextFullXid: bigint, running: Iterable<number> = []) {
    this.#next = Number(nextFullXid & 0xffff_ffffn);
    this.#epoch = nextFullXid >> 32n;
    this.running = new Set(running);
  }

  /** The next xid to be assigned, epoch in the high half. */
  get nextFullXid(): bigint {
    return (this.#epoch << 32n) | BigInt(this.#next);
  }

  get nextXid(): number {
    return this.#next;
  }

  /** Called with the xid of every record, so the usual case must cost nothing. */
  observe(xid: number): void {
    if (xid >= FIRST_NORMAL_XID && ((xid - this.#next) | 0) >= 0) this.#advancePast(xid);
  }

  #advancePast(xid: number): void {
    for (;;) {
      const assigned = this.#next;
      this.running.add(assigned);
      if (assigned === 0xffff_ffff) {
        this.#next = FIRST_NORMAL_XID;
        this.#epoch += 1n;
      } else {
        this.#next = assigned + 1;
      }
      if (assigned === xid) return;
    }
  }

  /** Sets the counter exactly, as a shutdown checkpoint does, with the given transactions running and no others. */
  reset(nextFullXid: bigint, running: Iterable<number>): void {
    this.#next = Number(nextFullXid & 0xffff_ffffn);
    this.#epoch = nextFullXid >> 32n;
    this.running.clear();
    for (const xid of running) this.running.add(xid);
  }

  /** Raises the counter (an online checkpoint's is a minimum); xids passed over count as running. */
  raiseNext(nextFullXid: bigint): void {
    if (nextFullXid <= this.nextFullXid) return;
    this.observe(Number((nextFullXid - 1n) & 0xffff_ffffn));
  }

  finish(xid: number): void {
    this.running.delete(xid);
  }

  /** Forgets transactions older than `oldest`, which RUNNING_XACTS says are over, but for those in `keep`. */
  prune(oldest: number, keep: ReadonlySet<number>): void {
    for (const xid of this.running) {
      if (xidPrecedes(xid, oldest) && !keep.has(xid)) this.running.delete(xid);
    }
  }

  /** The oldest running xid, or the next one when nothing runs. */
  oldest(): number {
    let oldest = this.#next;
    for (const xid of this.running) if (xidPrecedes(xid, oldest)) oldest = xid;
    return oldest;
  }

  /** Epoch and xid of a transaction that is not in the future (FullTransactionIdFromAllowableAt). */
  fullXid(xid: number): bigint {
    const epoch = xid >= this.#next ? this.#epoch - 1n : this.#epoch;
    return (epoch << 32n) | BigInt(xid);
  }
}
