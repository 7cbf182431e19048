import type { Logger } from '@kube-aurora/process';
import type { Disk } from '../disk/disk.ts';
import { errnoOf, isNoRoom, probeDisk, type DiskRoom } from '../disk/disk-room.ts';
import type { ConditionWaiter } from './condition-waiter.ts';
import type { ContentState } from './content-state.ts';
import type { CurrentControl } from './current-control.ts';
import { describeCause, diskFailure, fullFault, fullMessage, type Failure } from './segment-fault.ts';
import type { SegmentLimits } from './limits.ts';

/**
 * What a segment does when its disk is full or fails, and when it is not any more.
 *
 * Invariant: after a write failed nobody knows what the disk kept past the last sync; so the content is closed and
 * opened as after a start, its log cut off at what was synced, which is all that was acknowledged. That LSN is
 * remembered until it is open, however many tries it takes.
 */
export interface DiskFaultsOptions {
  readonly directory: string;
  readonly disk: Disk;
  readonly control: CurrentControl;
  readonly conditions: ConditionWaiter;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly state: ContentState;
  /** Closes what is open; gives the end of what it had synced of its log by then, undefined when nothing was open. */
  readonly close: () => Promise<bigint | undefined>;
  /** Opens it anew, without redo past `endLsn`. */
  readonly open: (endLsn: bigint | undefined) => Promise<void>;
  /** Something went wrong; `words` say more about it than its message. */
  readonly fail: (failure: Failure, words?: string) => void;
  /** Gives room back: redo goes that is not needed here. */
  readonly makeRoom: () => Promise<void>;
}

export class DiskFaults {
  readonly #options: DiskFaultsOptions;
  #room: DiskRoom | undefined;
  #isReopening = false;
  #syncedTo: bigint | undefined;

  constructor(options: DiskFaultsOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#room?.isFull === true;
  }

  /** There is too little room for redo, although no write has failed; undefined while there is enough. */
  get lackOfRoom(): Failure | undefined {
    return this.#room?.isFull === true ? { fault: fullFault(this.#room), message: fullMessage(this.#room) } : undefined;
  }

  /**
   * Takes a look at the disk: without room for redo, makes some; once what failed can be written, opens the content
   * anew.
   */
  noteRoom(room: DiskRoom): void {
    const { state, control, logger } = this.#options;
    this.#noteChange(room);
    state.update(fullFault(room));
    if (room.isFull && isOpen(state)) void this.#options.makeRoom().catch((error: unknown) => this.onError(error, 'drop redo log'));
    if (room.isFull || !mayReopen(state) || this.#isReopening) return;
    this.#isReopening = true;
    void control
      .exclusive(() => this.#reopen())
      .catch((error: unknown) => logger.error({ volume: control.value.volumeId, err: error }, 'the segment could not be opened again'))
      .finally(() => {
        this.#isReopening = false;
      });
  }

  #noteChange(room: DiskRoom): void {
    const { control, logger, conditions } = this.#options;
    const wasFull = this.isFull;
    this.#room = room;
    if (room.isFull === wasFull) return;
    const fields = { volume: control.value.volumeId, freeBytes: room.freeBytes, neededBytes: room.neededBytes };
    if (room.isFull) logger.error(fields, 'the disk is full: no redo is taken until there is room; reads and peers are served');
    else logger.info(fields, 'the disk has room again: redo is taken');
    conditions.recheck();
  }

  async #reopen(): Promise<void> {
    const { directory, disk, state, close, open, fail, conditions, logger, control } = this.#options;
    if (!mayReopen(state) || (await probeDisk(disk, directory)) !== '' || !mayReopen(state)) return;
    state.on('reopening');
    try {
      // Only now: what was on its way to the disk may have got there, and been acknowledged.
      this.#syncedTo = (await close()) ?? this.#syncedTo;
      await open(this.#syncedTo);
    } catch (error) {
      fail({ fault: { kind: 'UNKNOWN' }, message: `it cannot be opened again: ${describeCause(error)}` });
    }
    if (isOpen(state)) {
      this.#syncedTo = undefined;
      logger.info({ volume: control.value.volumeId }, 'the disk can be written again: redo is taken');
    }
    conditions.recheck();
  }

  /** A read or write failed. LevelDB does not say why: then the disk is asked. */
  async onError(error: unknown, operation: string): Promise<void> {
    const { directory, disk, state } = this.#options;
    const words = `${operation}: ${describeCause(error)}`;
    const known = errnoOf(error);
    // At once, whatever the disk says: nothing may be taken now.
    this.stop(known === '' ? 'EIO' : known, operation, words);
    if (known !== '') return;
    const { failure } = state;
    const probed = await probeDisk(disk, directory);
    // It may have been opened again meanwhile.
    if (state.failure !== failure) return;
    if (isNoRoom(probed) || (probed !== '' && probed !== 'EIO')) this.stop(probed, operation, words);
  }

  /** The disk refused `operation`: no redo is taken from now on. */
  stop(errno: string, operation: string, words: string): void {
    const { limits, fail } = this.#options;
    const room = this.#room ?? { isFull: true, freeBytes: 0, neededBytes: limits.diskReserveBytes };
    fail(diskFailure(errno, operation, words, room), words);
  }
}

const isOpen = ({ phase }: ContentState): boolean => phase === 'open' || phase === 'replacing open';

/** An import or a copy that is under way opens what it brings itself. */
const mayReopen = ({ meaning }: ContentState): boolean => meaning.isHeldByDisk && !meaning.isReplacing;
