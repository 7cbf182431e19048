import type { PageKey } from '@kube-aurora/redo-engine';
import type { PageStore } from '../pages/page-store.ts';
import { pageOfKey } from '../pages/store-key.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';
import { RedoScrub } from './redo-scrub.ts';

/**
 * Reads everything that is stored back, slowly and for ever, and has what fails its check repaired before someone needs
 * it. A few pages, a stretch of log and of the pages' index a step; the steps come from a timer outside.
 */

/**
 * Of the bytes of pages that a step reads, the part that it may read of their index: an entry takes some 50 bytes, a
 * page 8 KiB, and each costs about the same to check. So the index is still read through several times while the pages
 * are once.
 */
const INDEX_SHARE = 1 / 32;

export interface ScrubOptions {
  readonly store: PageStore;
  readonly log: RedoLog;
  readonly repairPage: (page: PageKey) => Promise<void>;
  /** Has the checkpoint's own values written anew. */
  readonly renewCheckpoint: () => void;
  readonly onCorruption: (kind: 'page' | 'log', error: Error) => void;
  /** The pages' index is damaged: only a copy can make that good. */
  readonly onDamage: (error: Error) => void;
}

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #redo: RedoScrub;
  #afterKey: Buffer | undefined;

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#redo = new RedoScrub(options.log, options.onCorruption);
  }

  /** Checks about `bytes` of pages and of the log, and of the index in proportion; gives the bytes checked. */
  async step(bytes: number, repairLog: (lsn: bigint) => Promise<boolean>): Promise<number> {
    return (await this.#pages(bytes)) + (await this.#redo.step(bytes, repairLog)) + (await this.#index(Math.ceil(bytes * INDEX_SHARE)));
  }

  async #pages(bytes: number): Promise<number> {
    const { store, onCorruption, repairPage, renewCheckpoint } = this.#options;
    const { bytes: done, damaged, next } = await store.scrubValues(this.#afterKey, bytes);
    this.#afterKey = next;
    for (const error of damaged) {
      onCorruption('page', error);
      const page = pageOfKey(error.key);
      if (page === undefined) renewCheckpoint();
      else await repairPage(page);
    }
    return done;
  }

  async #index(bytes: number): Promise<number> {
    const { store, onCorruption, onDamage } = this.#options;
    try {
      return await store.scrubIndex(bytes);
    } catch (error) {
      if (!(error instanceof StoredValueError)) throw error;
      onCorruption('page', error);
      onDamage(error);
      return 0;
    }
  }
}
