import type { Clock } from '@kube-aurora/clock';
import { minLsn } from '@kube-aurora/pg-format/lsn';
import { keyText, type PageKey } from '@kube-aurora/redo-engine';
import type { PageWriter, WriteTo } from './page-writer.ts';
import { NoSoundCopyError } from '../pages/stored-value.ts';
import type { Tombstones } from '../pages/tombstones.ts';
import type { Applier } from './applier.ts';
import type { RecordTable } from '../pages/record-table.ts';
import type { RedoIndex } from '../pages/redo-index.ts';

/**
 * Pages with a long chain of redo are written by themselves, whether a checkpoint runs or not, so that no read has to
 * apply more than about `chainMax` records. Such a page is ahead of the checkpoint then; its version's LSN says by how
 * much, and what it has is skipped when the log is read again from the checkpoint on.
 */

/** A chain is worth a write once so much of it can go. */
const WORTH = 0.5;
/** When peers could not help with a damaged page, they are asked again so much later. */
const REST_MS = 1000;

export interface LongChainOptions {
  readonly applier: Applier;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly writer: PageWriter;
  readonly clock: Clock;
  readonly readFloor: () => bigint;
  readonly onFailure: (error: unknown) => void;
}

export class LongChains {
  readonly #options: LongChainOptions;
  readonly #pages = new Map<string, PageKey>();
  #running: Promise<void> | undefined;

  constructor(options: LongChainOptions) {
    this.#options = options;
    for (const page of options.index.pagesWith(options.applier.chainMax)) this.add(page);
  }

  add({ space, block }: PageKey): void {
    const page = { space, block };
    this.#pages.set(keyText(page), page);
  }

  /** Looks whether some can be written; called as applier and PGMRPL move. */
  maybeStart(): void {
    if (this.#pages.size === 0 || this.#running !== undefined || this.#options.writer.stopped) return;
    const due = this.#takeDue(this.#writableTo().limit);
    if (due.length === 0) return;
    this.#running = this.#options.writer
      .write(due, () => this.#writableTo())
      .then(
        () => this.#done(due, 0),
        (error: unknown) => {
          if (!(error instanceof NoSoundCopyError)) this.#options.onFailure(error);
          this.#done(due, REST_MS);
        },
      );
  }

  #done(due: readonly PageKey[], restMs: number): void {
    const { clock } = this.#options;
    // Little could go, or much came meanwhile, or a peer's help is needed: they are still long.
    for (const page of due) if (this.#isLong(page)) this.add(page);
    const goOn = (): void => {
      this.#running = undefined;
      this.maybeStart();
    };
    if (restMs === 0) clock.soon(goOn);
    else clock.after(restMs, goOn);
  }

  /** Until nothing is being written. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** What is past VDL may be annulled, and what is past PGMRPL may be read as it was. */
  #writableTo(): WriteTo {
    const lsn = minLsn(this.#options.applier.appliedLsn, this.#options.readFloor());
    return { lsn, limit: this.#options.table.lowerBound(lsn) };
  }

  #isLong(page: PageKey): boolean {
    return (this.#options.index.refsOf(page)?.length ?? 0) >= this.#options.applier.chainMax;
  }

  #takeDue(limit: number): PageKey[] {
    const { index, applier, tombstones } = this.#options;
    const due: PageKey[] = [];
    for (const [key, page] of this.#pages) {
      // Such a page must stay as it was when the copy was made; the checkpoint takes care of both.
      if (tombstones.isCopySource(page)) continue;
      if (index.countBelow(page, limit) >= applier.chainMax * WORTH) {
        due.push(page);
        this.#pages.delete(key);
      } else if (!this.#isLong(page)) this.#pages.delete(key);
    }
    return due;
  }
}
