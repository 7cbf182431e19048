import { minLsn } from '@kube-aurora/pg-format/lsn';
import type { PageKey } from '@kube-aurora/redo-engine';
import { LogReadError } from '../redo-log/log-errors.ts';
import { bytesOf, type Built, type PageBuilder } from './page-builder.ts';
import type { PageSources } from './page-plan.ts';
import type { PageTurn } from './page-turn.ts';
import type { BuildRoom } from './redo-run.ts';
import { StoredValueError } from './stored-value.ts';
import { NO_LSN } from './tombstones.ts';

/**
 * Reads pages, and has what is damaged replaced by a peer's. For computes and for what is stored here; a peer is
 * answered by the builder itself.
 */

export interface RepairingReaderOptions extends Pick<PageSources, 'engine' | 'store' | 'cache' | 'index' | 'table'> {
  readonly builder: PageBuilder;
  readonly turn: PageTurn;
  readonly appliedLsn: () => bigint;
  /** Lowest LSN that anyone may still read at; redo from there on is all here. */
  readonly readFloor: () => bigint;
  /** One page as of the LSN from a peer; undefined: it does not exist. Throws NoSoundCopyError when no peer can. */
  readonly fetchPage: (page: PageKey, lsn: bigint) => Promise<Buffer | undefined>;
  readonly onCorruption: (kind: 'page' | 'log', error: Error) => void;
  readonly onRepair: () => void;
}

/** Pages as of one LSN, in the order asked for. */
export interface PagesAt {
  /** One byte a page: 1 it exists, 0 it does not and its bytes are zeros. */
  readonly present: Buffer;
  /** Each page apart, as it is stored or was made: none is copied for the answer. In the room where one was given. */
  readonly pages: readonly Buffer[];
}

export class RepairingReader {
  readonly #options: RepairingReaderOptions;
  /** In place of pages that do not exist. */
  readonly #zeros: Buffer;

  constructor(options: RepairingReaderOptions) {
    this.#options = options;
    this.#zeros = Buffer.alloc(options.engine.pageBytes);
  }

  /** Pages as of `lsn`, in their order. Throws TooOldError, NoSoundCopyError, RedoError. `room`: as PageBuilder.build takes it. */
  async readPages(keys: readonly PageKey[], lsn: bigint, room?: BuildRoom): Promise<PagesAt> {
    const { engine, builder } = this.#options;
    const built = await builder.build(keys, lsn, 'read', room);
    const damaged = built.flatMap((one, at) => (one.kind === 'damaged' ? [{ one, at }] : []));
    await Promise.all(
      damaged.map(async ({ one, at }) => {
        built[at] = await this.#repairThenBuild(one, lsn);
      }),
    );
    const present = Buffer.alloc(keys.length);
    const pages = built.map((one, at) => {
      const bytes = bytesOf(one, lsn, (page) => engine.describePage(page));
      if (bytes !== undefined) present[at] = 1;
      return bytes ?? this.#zeros;
    });
    return { present, pages };
  }

  async #repairThenBuild(damaged: Extract<Built, { kind: 'damaged' }>, lsn: bigint): Promise<Built> {
    await this.repair(damaged, lsn);
    const [again] = await this.#options.builder.build([damaged.page], lsn, 'read');
    return again ?? damaged;
  }

  /** Has what could not be read replaced, so that it can be told as of `lsn`. Not under `exclusive`. */
  async repair({ page, error }: Extract<Built, { kind: 'damaged' }>, lsn: bigint): Promise<void> {
    this.#options.onCorruption(error instanceof LogReadError ? 'log' : 'page', error);
    await this.repairPage(page, lsn);
  }

  /**
   * Replaces the stored version of a page by a peer's, as of `most` at most, which is applied here. Invariant: it is of
   * no later LSN than anyone may still read at, whoever else reads the page now.
   */
  async repairPage(page: PageKey, most = this.#options.appliedLsn()): Promise<void> {
    const { engine, turn, store, builder, cache, index, table, readFloor, fetchPage, onRepair } = this.#options;
    const lsn = minLsn(most, readFloor());
    const bytes = await fetchPage(page, lsn);
    await turn.exclusive(async () => {
      // A checkpoint may have written a sound and newer one meanwhile.
      if ((await this.#storedLsn(page)) > lsn) return;
      // One that is gone by then gets a version all the same: redo from before it went is read again after a crash, and
      // must be skipped.
      await store.write([{ page, version: { lsn, page: bytes ?? Buffer.alloc(engine.pageBytes) } }]);
      builder.invalidate();
      cache.clear();
      index.trimPage(page, table.lowerBound(lsn));
    });
    onRepair();
  }

  /** LSN of what is stored of a page; NO_LSN when there is nothing, or nothing sound. */
  async #storedLsn(page: PageKey): Promise<bigint> {
    try {
      return (await this.#options.store.get(page))?.lsn ?? NO_LSN;
    } catch (error) {
      if (error instanceof StoredValueError) return NO_LSN;
      throw error;
    }
  }
}
