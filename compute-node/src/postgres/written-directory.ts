import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Lsn } from '@kube-aurora/pg-format';
import type { CarriedOver, LostSlot, WrittenWal } from './carry-over.ts';

/** A replication slot of this compute that is there no more, for its status. */
export interface LostSlotStatus {
  readonly name: string;
  readonly why: string;
  readonly at: string;
}

/**
 * What this process knows of the data directory: the epoch whose WAL was written in it, whole from the epoch's first batch on,
 * and which replication slots ended when it was replaced.
 *
 * Invariant: a volume whose log up to X ends with a batch of that epoch has, from where the directory's WAL begins up to X, the
 * bytes that stand in the directory. For an epoch has one writer, which sends storage what is in its WAL files alone, and
 * storage keeps of it what is before X. A reader that is promoted has the volume's own bytes up to there: they were given to it. What
 * it writes then is the volume's but for the timeline that its pages name, which the volume does not have.
 *
 * It is memory on purpose: those files were never synced, and whether a machine that lost its power has them nobody could say.
 * A process that remembers has lived on since.
 */
export class WrittenDirectory {
  readonly #clock: Pick<Clock, 'wallTime'>;
  readonly #logger: Logger;
  #written: { readonly epoch: bigint; readonly wal: WrittenWal } | undefined;
  /** X of the reader whose directory it is. */
  #readFrom: Lsn | undefined;
  /** All slots of the writer before were in the directory that this one is laid from: what became of each is known. */
  #knowsSlots = false;
  #lost: readonly LostSlotStatus[] = [];

  constructor({ clock, logger }: { readonly clock: Pick<Clock, 'wallTime'>; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Replication slots that this process saw end with a directory, and that nobody has made since. */
  get lostSlots(): readonly LostSlotStatus[] {
    return this.#lost;
  }

  /** A directory is laid in its place, in which a writer's epoch begins. `wal`: of the one before, what is known to be the volume's. */
  forWriter(
    { epoch, previousEpoch }: { readonly epoch: bigint; readonly previousEpoch: bigint },
    lay: (wal: WrittenWal | undefined) => CarriedOver,
  ): void {
    const wal = this.#written?.epoch === previousEpoch ? this.#written.wal : undefined;
    this.#replace(() => lay(wal));
    this.#written = { epoch, wal: {} };
    this.#knowsSlots = wal !== undefined;
  }

  /** A directory is laid in its place for a reader that begins at `startLsn`. */
  forReader(startLsn: Lsn, lay: () => CarriedOver): void {
    this.#replace(lay);
    this.#readFrom = startLsn;
  }

  /** The reader whose directory it is was promoted: from `lsn` on it writes, on a timeline of its own. */
  promoted({ epoch, lsn, timeline }: { readonly epoch: bigint; readonly lsn: Lsn; readonly timeline: number }): void {
    this.#written = { epoch, wal: { fromLsn: this.#readFrom, promoted: { lsn, timeline } } };
  }

  /**
   * Slots that the writer before had, as the volume's list says, and that are not in the PostgreSQL that writes now. The list is of a
   * moment ago: where its own files were here, these say what there was, and one that is only in the list was dropped since.
   */
  missing(slots: readonly LostSlot[]): void {
    if (this.#knowsSlots) return;
    const known = new Set(this.#lost.map(({ name }) => name));
    const lost = slots.filter(({ name }) => !known.has(name));
    if (lost.length === 0) return;
    const at = new Date(this.#clock.wallTime()).toISOString();
    this.#lost = [...this.#lost, ...lost.map((slot) => ({ ...slot, at }))];
    this.#logger.error({ lost }, 'replication slots of the writer before are not here: make them anew');
  }

  /** PostgreSQL, which writes, has slots of these names: whoever needed those that were lost has made them anew. */
  made(names: readonly string[]): void {
    this.#lost = this.#lost.filter(({ name }) => !names.includes(name));
  }

  #replace(lay: () => CarriedOver): void {
    let carried: CarriedOver;
    try {
      carried = lay();
    } finally {
      // Whatever came of it, it is not the one that was written.
      this.#written = undefined;
      this.#readFrom = undefined;
      this.#knowsSlots = false;
    }
    const at = new Date(this.#clock.wallTime()).toISOString();
    const { slots, lost, hasStatistics } = carried;
    const isNamed = new Set([...slots, ...lost.map(({ name }) => name)]);
    this.#lost = [...this.#lost.filter(({ name }) => !isNamed.has(name)), ...lost.map((slot) => ({ ...slot, at }))];
    if (lost.length > 0) this.#logger.error({ lost }, 'replication slots were lost with the data directory: make them anew');
    if (slots.length > 0 || hasStatistics) this.#logger.info({ slots, hasStatistics }, 'taken over from the PostgreSQL before');
  }
}
