import { dirname } from 'node:path';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import type { Clock, Timer } from '@kube-aurora/clock';
import type { Disk, DiskFile } from '../disk/disk.ts';

/**
 * Up to where a segment's redo is known to be durable on a quorum: `<segment>/durable`, so that a restart does not
 * forget what no history may annul. It may lag behind, and is never ahead: it is written after the fact and, as it only
 * raises a floor that the stored pages' checkpoint gives anyway, not synced, and not for every batch: a process that
 * dies loses what came within WRITE_AFTER_MS, a machine at most the last seconds. A segment that lives knows all of it.
 *
 *   two slots, 512 bytes apart, written in turn, so that a torn write leaves the other one
 *   offset  bytes
 *        0      8  base epoch: of another import's redo it says nothing
 *        8      8  LSN
 *       16      4  CRC32C of the bytes before
 */
const SLOT_BYTES = 512;
const BODY_BYTES = 16;
const USED_BYTES = BODY_BYTES + 4;
/** What was noted is in the file so much later: a write for each batch would cost as much as writing the batch. */
export const WRITE_AFTER_MS = 100;

export class DurablePoint {
  readonly #file: DiskFile;
  readonly #baseEpoch: bigint;
  readonly #onError: (error: Error) => void;
  readonly #clock: Clock;
  #lsn: bigint;
  /** Runs while the file has less than what was noted. */
  #timer: Timer | undefined;
  readonly #bytes = Buffer.alloc(USED_BYTES);
  #slot = 0;
  #failed = false;

  private constructor(file: DiskFile, baseEpoch: bigint, lsn: bigint, clock: Clock, onError: (error: Error) => void) {
    this.#file = file;
    this.#baseEpoch = baseEpoch;
    this.#lsn = lsn;
    this.#clock = clock;
    this.#onError = onError;
  }

  /** Reads what was known, 0n when nothing was. `onError` is called once when it cannot be written any more. */
  static async open(
    { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
    path: string,
    baseEpoch: bigint,
    onError: (error: Error) => void,
  ): Promise<DurablePoint> {
    const isNew = !disk.exists(path);
    const file = await disk.openFile(path, isNew ? 'create' : 'existing');
    const bytes = Buffer.alloc(2 * SLOT_BYTES);
    if (isNew) {
      await file.write([bytes], 0);
      await file.sync();
      await disk.syncDirectory(dirname(path));
    } else file.readHere(bytes, 0, bytes.length, 0);
    const lsns = [0, SLOT_BYTES].map((at) => slotLsn(bytes.subarray(at, at + USED_BYTES), baseEpoch));
    const best = lsns.reduce((highest, lsn) => (lsn > highest ? lsn : highest), 0n);
    const point = new DurablePoint(file, baseEpoch, best, clock, onError);
    // The older slot is written next.
    point.#slot = lsns[0] === best ? 1 : 0;
    return point;
  }

  get lsn(): bigint {
    return this.#lsn;
  }

  /** Redo is durable up to `lsn`. */
  note(lsn: bigint): void {
    if (lsn <= this.#lsn) return;
    this.#lsn = lsn;
    if (!this.#failed) this.#timer ??= this.#clock.after(WRITE_AFTER_MS, this.#writeNoted);
  }

  /** On this thread: into the page cache, which costs less than a hop to another. */
  readonly #writeNoted = (): void => {
    this.#timer = undefined;
    const bytes = this.#bytes;
    bytes.writeBigUInt64LE(this.#baseEpoch, 0);
    bytes.writeBigUInt64LE(this.#lsn, 8);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, BODY_BYTES)) >>> 0, BODY_BYTES);
    try {
      this.#file.writeHere([bytes], this.#slot * SLOT_BYTES);
      this.#slot = 1 - this.#slot;
    } catch (error) {
      this.#failed = true;
      this.#onError(error instanceof Error ? error : new Error(String(error)));
    }
  };

  close(): Promise<void> {
    if (this.#timer !== undefined) {
      this.#timer.cancel();
      this.#writeNoted();
    }
    return this.#file.close();
  }
}

/** LSN of a slot; 0n when it is empty, torn, or of another import. */
function slotLsn(slot: Buffer, baseEpoch: bigint): bigint {
  if (slot.readUInt32LE(BODY_BYTES) !== crc32c(slot.subarray(0, BODY_BYTES)) >>> 0) return 0n;
  return slot.readBigUInt64LE(0) === baseEpoch ? slot.readBigUInt64LE(8) : 0n;
}
