import type { Disk } from '../disk/disk.ts';
import { join } from 'node:path';
import type { SegmentRole } from '@kube-aurora/volume';
import type { Wrapped } from '@kube-aurora/at-rest';
import { emptyControl, readControl, writeControl, type ControlFileError, type SegmentControl } from './control-file.ts';

/**
 * The daemon is told that its segment is something else than what it has been from the beginning: quorums were counted
 * by that.
 */
export class SegmentRoleError extends Error {
  constructor(path: string, held: SegmentRole, told: SegmentRole) {
    const name = (role: SegmentRole): string => (role === 'FULL' ? 'a full segment' : 'a tail');
    super(
      `${path}: this is ${name(held)}, and --peers (AURORA_PEERS) has it as ${name(told)}; a segment's role never changes: ` +
        'give every daemon and compute of the volume the list that it was made with',
    );
    this.name = 'SegmentRoleError';
  }
}

/** A segment's control file as it stands, and the turn that whoever changes it takes: one at a time. */
export class CurrentControl {
  readonly #disk: Disk;
  readonly #directory: string;
  #value: SegmentControl;
  /** What the file holds, as far as this process knows. */
  #saved: SegmentControl;
  #queue: Promise<unknown> = Promise.resolve();
  /** Would the file as it was read, or written, survive the loss of power? */
  #isDurable: boolean;
  readonly #watchers: (() => void)[] = [];
  /** There was no file when it was read. */
  readonly isNew: boolean;
  /** One of the file's two copies was damaged; `save` makes both anew. */
  readonly damage: ControlFileError | undefined;

  private constructor(
    disk: Disk,
    directory: string,
    value: SegmentControl,
    { damage, isNew }: { readonly damage: ControlFileError | undefined; readonly isNew: boolean },
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#value = value;
    this.#saved = value;
    this.#isDurable = isNew;
    this.isNew = isNew;
    this.damage = damage;
  }

  /**
   * Reads it, or makes an empty one in memory: the file comes with the first promise. One that names no content yet takes
   * the data key that `freshKey` makes, if it makes one. Throws ControlFileError, and SegmentRoleError when it is of another
   * role than the daemon is told.
   */
  static read(
    disk: Disk,
    directory: string,
    id: { readonly volumeId: string; readonly pg: number },
    role: SegmentRole,
    freshKey: () => Wrapped | undefined = () => undefined,
  ): CurrentControl {
    const path = join(directory, 'control');
    const read = readControl(disk, path);
    if (read !== undefined && read.control.role !== role) throw new SegmentRoleError(path, read.control.role, role);
    const found = read?.control ?? emptyControl(id.volumeId, id.pg, role);
    const value = found.ready || found.encryption !== undefined ? found : { ...found, encryption: freshKey() };
    return new CurrentControl(disk, directory, value, {
      damage: read?.damage,
      isNew: read === undefined,
    });
  }

  get value(): SegmentControl {
    return this.#value;
  }

  /**
   * One at a time: everything that changes promises or replaces content. Rejects while the disk cannot say that the
   * file is durable.
   *
   * Invariant: nothing is answered by a file that the loss of power would take back. A process that died may have put
   * it in its place and not lived to sync the directory; what it promised there is not to be promised again as a thing
   * of the past.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(async () => {
      if (!this.#isDurable) await this.#disk.syncDirectory(this.#directory);
      this.#isDurable = true;
      return work();
    });
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Resolves when all work that was queued is done. */
  async idle(): Promise<void> {
    await this.#queue;
  }

  /** Refuses more at once; durable only with the next `save`, and to be taken back when that cannot come. */
  raiseEpoch(epoch: bigint, writerId: string): void {
    this.#value = { ...this.#value, epoch, writerId };
  }

  /**
   * Invariant: what could not be saved is not known either. Else the same request would be answered the next time as
   * one that was carried out before, and a promise or a history count that a restart forgets.
   */
  takeBack(): void {
    this.#value = this.#saved;
  }

  /** Durable when it resolves; as if it had never been asked for when it rejects, raised epochs included. */
  async save(change: Partial<SegmentControl>): Promise<void> {
    const next = { ...this.#value, ...change };
    this.#value = next;
    try {
      await this.#disk.makeDirectory(this.#directory);
      await writeControl(this.#disk, join(this.#directory, 'control'), next);
      this.#saved = next;
      this.#isDurable = true;
    } catch (error) {
      this.takeBack();
      throw error;
    }
    for (const look of this.#watchers) look();
  }

  /** Calls `look` whenever something else is in the file, durably. */
  watch(look: () => void): void {
    this.#watchers.push(look);
  }
}
